//! Why there is no quote: a sentence for the room, a cause for the log.

use std::error::Error;
use std::fmt;
use std::str::Utf8Error;
use std::time::Duration;

use crate::code::StockCode;

/// Says in one plain sentence that there is no quote for a code.
///
/// The text is for chat users and holds no technical detail; [`source`](Error::source) is the cause, for logs.
/// Neither repeats anything the quote service sent, and neither holds the API key.
///
/// ```
/// use stock_bot::{Quote, StockCode};
///
/// let code: StockCode = "nope.us".parse()?;
/// let refusal = Quote::from_csv(&code, b"Symbol,Close\r\nNOPE.US,N/D\r\n").unwrap_err();
/// assert_eq!(refusal.to_string(), "No quote for NOPE.US: no price is known for this code");
/// # Ok::<(), stock_bot::InvalidCode>(())
/// ```
#[derive(Debug)]
pub struct Refusal {
    code: StockCode,
    fault: Fault,
}

impl Refusal {
    pub(crate) fn new(code: &StockCode, fault: Fault) -> Self {
        let code = code.clone();
        Self { code, fault }
    }

    /// Returns the code that was asked for.
    pub fn code(&self) -> &StockCode {
        &self.code
    }

    /// Returns the kind of refusal, to count and to branch on.
    pub fn reason(&self) -> Reason {
        self.fault.reason()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "No quote for {}: {}", self.code, self.reason())
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.fault)
    }
}

/// Sorts refusals into the few kinds that a user or an operator acts on differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The service answered that it has no price: a wrong code, or a stock without trades.
    NotFound,
    /// The service is over its limit for us; a later try may work.
    Busy,
    /// The service wants a key, or another one; only the operator can mend it.
    Denied,
    /// The whole answer did not arrive in time.
    TooSlow,
    /// The service could not be reached or answered with an error.
    Unavailable,
    /// The service answered with something that is not a quote for this code.
    Unclear,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no price is known for this code",
            Self::Busy => "the quote service is over its limit, please try later",
            Self::Denied => "the quote service did not let us in",
            Self::TooSlow => "the quote service took too long",
            Self::Unavailable => "the quote service is not available",
            Self::Unclear => "the quote service gave an unclear answer",
        })
    }
}

/// The technical cause. It holds sizes, names and statuses of ours, never text of the reply: a log line must
/// not carry what a stranger wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the request failed")]
    Transport(#[source] Box<dyn Error + Send + Sync>),
    #[error("no complete reply within {0:?}")]
    TimedOut(Duration),
    #[error("the reply has status {0}")]
    Status(u16),
    #[error("the reply is longer than {0} bytes")]
    TooLong(usize),
    #[error("the reply is empty")]
    Empty,
    #[error("the reply is not UTF-8")]
    Encoding(#[source] Utf8Error),
    #[error("the reply has a stray quote or carriage return")]
    Malformed,
    #[error("the reply is not CSV")]
    Csv(#[from] csv::Error),
    #[error("the reply has more than {0} columns")]
    TooWide(usize),
    #[error("the reply has not exactly one column {0}")]
    Column(&'static str),
    #[error("the reply says that a limit of requests is reached")]
    LimitText,
    #[error("the reply asks for an API key")]
    KeyText,
    #[error("the reply has a header and no row")]
    NoRow,
    #[error("the reply has more than one row")]
    Rows,
    #[error("the reply is about another symbol")]
    OtherSymbol,
    #[error("the reply has no price")]
    NoPrice,
    #[error("the price is not a plain positive number")]
    Price,
}

impl Fault {
    fn reason(&self) -> Reason {
        match self {
            Self::NoRow | Self::NoPrice => Reason::NotFound,
            Self::LimitText | Self::Status(429) => Reason::Busy,
            Self::KeyText | Self::Status(401 | 403) => Reason::Denied,
            Self::TimedOut(_) => Reason::TooSlow,
            Self::Transport(_) | Self::Status(_) => Reason::Unavailable,
            _ => Reason::Unclear,
        }
    }
}
