//! A quote service with sample prices, for demos and machines without internet.
//!
//! It answers `GET /q/l/?s=CODE` in the form of stooq, from a fixed table. The prices are not real.

use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;

use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, serve};
use serde::Deserialize;
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::code::StockCode;

const HEADER: &str = "Symbol,Date,Time,Open,High,Low,Close,Volume\r\n";

/// Symbol, then open, high, low, close and volume of the sample day.
const SAMPLES: [(&str, &str); 12] = [
    ("AAPL.US", "91.80,94.10,91.25,93.42,38120400"),
    ("AMZN.US", "184.20,187.65,183.90,186.51,41208900"),
    ("GOOGL.US", "171.10,173.48,170.62,172.63,24517700"),
    ("IBM.US", "189.05,191.40,188.30,190.80,3912600"),
    ("INTC.US", "30.44,31.02,30.11,30.90,45330100"),
    ("KO.US", "62.30,62.88,62.05,62.71,11874500"),
    ("META.US", "498.60,507.12,496.20,504.22,13260800"),
    ("MSFT.US", "444.90,450.35,443.10,449.78,17405300"),
    ("NFLX.US", "668.00,686.40,664.75,682.10,3120700"),
    ("NVDA.US", "122.75,126.90,121.60,125.83,241800600"),
    ("TSLA.US", "195.40,202.30,193.85,200.04,88420300"),
    ("^SPX", "5470.05,5523.64,5460.11,5509.01,2190000000"),
];

/// Returns the reply of the sample service for a code: a price line, or `N/D` fields for a code not in the table.
///
/// A text that is no [`StockCode`] gets the header line alone.
///
/// ```
/// let reply = stock_bot::sample::csv("aapl.us");
/// assert!(reply.contains("AAPL.US,") && reply.contains(",93.42,"));
/// ```
pub fn csv(code: &str) -> String {
    let Ok(code) = code.parse::<StockCode>() else {
        return HEADER.to_owned();
    };
    let known = SAMPLES.iter().find(|(symbol, _)| *symbol == code.as_str());
    match known {
        Some((symbol, values)) => format!("{HEADER}{symbol},2024-07-02,22:00:00,{values}\r\n"),
        None => format!("{HEADER}{code},N/D,N/D,N/D,N/D,N/D,N/D,N/D\r\n"),
    }
}

/// Returns the URL template that asks a [`SampleServer`] at that address.
pub fn template(address: SocketAddr) -> String {
    format!("http://{address}/q/l/?s={{code}}&f=sd2t2ohlcv&h&e=csv")
}

/// Serves [`csv()`] over HTTP.
#[derive(Debug)]
pub struct SampleServer;

impl SampleServer {
    /// Binds the address and returns the bound one with the future that serves it until it is dropped.
    pub async fn bind(
        address: impl ToSocketAddrs,
    ) -> io::Result<(SocketAddr, impl Future<Output = io::Result<()>> + Send + 'static)> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let router = Router::new().route("/q/l/", get(answer));
        Ok((bound, serve(listener, router).into_future()))
    }
}

#[derive(Deserialize)]
struct Asked {
    s: String,
}

async fn answer(Query(asked): Query<Asked>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&asked.s))
}
