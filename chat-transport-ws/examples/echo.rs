//! Lets a test suite of WebSocket, such as Autobahn's, drive our server and our client.
//!
//! ```sh
//! cargo run -p chat-transport-ws --features echo --example echo -- server 127.0.0.1:9001
//! cargo run -p chat-transport-ws --features echo --example echo -- client 127.0.0.1:9002 CASES
//! ```
//!
//! The server is the real one up to the session: front, handshake, connection, limits, outbox. Instead of a session of
//! the engine there is an echo, since the suite wants its messages back, binary ones too. The client is the real
//! connection without the hub above it. In both, sizes are raised to what the suite sends, 16 MiB, and the server does
//! not limit connections per address.

use std::{convert::Infallible, env, error::Error, future::pending};

use chat_core::{Engine, Limits};
use chat_transport_ws::{Front, FrontConfig, PerAddress, WsConfig, WsServer, client};
use http::Request;
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tokio::net::TcpListener;

/// The suite's largest message.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", address] => serve(address).await,
        ["client", address, cases] => drive(address, cases.parse()?).await,
        _ => Err("usage: echo server ADDRESS | echo client ADDRESS CASES".into()),
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let mut limits = Limits::default();
    limits.frame_bytes_max = MESSAGE_BYTES_MAX;
    let (mut ws, mut front) = (WsConfig::default(), FrontConfig::default());
    ws.outbox_bytes_max = 2 * MESSAGE_BYTES_MAX;
    (ws.per_address, front.per_address) = (PerAddress::unlimited(), PerAddress::unlimited());

    let server = WsServer::new(Engine::builder().limits(limits).build().await?, ws);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answer = server.echo(&mut request).map(Full::new);
        async { Ok::<_, Infallible>(answer) }
    });
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    Front::new(front).serve(listener, service, pending()).await?;
    Ok(())
}

/// Runs cases 1 to `cases`, then has the suite write its report.
async fn drive(address: &str, cases: u32) -> Result<(), Box<dyn Error>> {
    for case in 1..=cases {
        client::echo(&format!("ws://{address}/runCase?case={case}&agent=chat-engine")).await?;
    }
    client::echo(&format!("ws://{address}/updateReports?agent=chat-engine")).await?;
    Ok(())
}
