//! Measures brokers: how long a hint is on its way, what it costs, and how the work of each node grows with the cluster.
//!
//! ```sh
//! scripts/services start rabbitmq redis redis_cluster && eval "$(scripts/services env)"
//! cargo run --release -p chat-brokers -- docs/broker-work.svg memory: \
//!     "$CHAT_TEST_REDIS" "$CHAT_TEST_REDIS_CLUSTER" "$CHAT_TEST_AMQP" "$CHAT_TEST_AMQP?partitioned=1"
//! ```
//!
//! Prints the tables of `docs/benchmarks.md` and draws the plot, in half a minute for each broker.
//!
//! | file | holds |
//! |---|---|
//! | `place` | a broker by its URL, and where its servers are |
//! | `cost` | CPU of this process and of servers, and bytes that came in |
//! | `pair` | two nodes: how long, and how much |
//! | `growth` | 1 to 8 nodes: what each of them has to do |
//! | `plot` | the plot |

mod cost;
mod growth;
mod pair;
mod place;
mod plot;

use std::{error::Error, fs};

use growth::Step;
use place::Place;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: chat-brokers PLOT URL…")?;
    let places = arguments.map(|url| Place::at(&url)).collect::<Outcome<Vec<_>>>()?;

    println!("| broker | hop p50, p99 ms | one at a time /s | CPU µs | 64 at a time /s | CPU µs |");
    println!("|---|---|---|---|---|---|");
    for place in &places {
        let hop = pair::hop(place).await?;
        let (one, drained) = (pair::stream(place, 1).await?, pair::stream(place, 64).await?);
        println!("| {} | {hop} | {one} | {drained} |", place.name);
    }

    println!("\n| broker | nodes | heard by each /s | KB/s in at each | CPU of each, ms/s | CPU of the server, ms/s |");
    println!("|---|---|---|---|---|---|");
    let mut lines = Vec::new();
    for place in &places {
        let steps = growth::measure(place).await?;
        for step in &steps {
            println!("| {} | {step} |", place.name);
        }
        lines.push((place.name.clone(), steps.iter().map(Step::point).collect()));
    }
    Ok(fs::write(file, plot::draw(&lines))?)
}
