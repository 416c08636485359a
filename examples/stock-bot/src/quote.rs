//! The price of one share, read from a CSV reply.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::code::StockCode;
use crate::refusal::{Fault, Refusal};
use crate::reply::Row;

/// The longest price that is read. The dearest share needs nine characters; a decimal holds 28 digits, so
/// nothing this long can overflow or be rounded while it is parsed.
const PRICE_CHARS_MAX: usize = 24;

/// States the last price of a share, in dollars and cents.
///
/// The symbol is the code that was asked for, never the text of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    symbol: StockCode,
    price: Decimal,
}

impl Quote {
    /// Reads the reply to a request for `code`.
    ///
    /// Columns are found by the names `Symbol` and `Close` in the header line; their order and other columns do
    /// not matter. A byte order mark, CRLF or LF line ends, a missing last line end, and quoted commas and line
    /// ends are understood. The price is rounded half up to cents in decimal arithmetic.
    ///
    /// # Errors
    ///
    /// Anything else is a [`Refusal`]: a reply that could be read in two ways is not read at all.
    ///
    /// ```
    /// use stock_bot::{Quote, StockCode};
    ///
    /// let code: StockCode = "aapl.us".parse()?;
    /// let quote = Quote::from_csv(&code, b"Symbol,Close\r\nAAPL.US,93.42\r\n")?;
    /// assert_eq!(quote.to_string(), "AAPL.US quote is $93.42 per share");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_csv(code: &StockCode, body: &[u8]) -> Result<Self, Refusal> {
        let price = read_price(code, body).map_err(|fault| Refusal::new(code, fault))?;
        let symbol = code.clone();
        Ok(Self { symbol, price })
    }

    /// Returns the code that was asked for.
    pub fn symbol(&self) -> &StockCode {
        &self.symbol
    }

    /// Returns the price, greater than zero and with at most two decimals.
    pub fn price(&self) -> Decimal {
        self.price
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} quote is ${:.2} per share", self.symbol, self.price)
    }
}

fn read_price(code: &StockCode, body: &[u8]) -> Result<Decimal, Fault> {
    let row = Row::read(body)?;
    if !row.symbol.eq_ignore_ascii_case(code.as_str()) {
        return Err(Fault::OtherSymbol);
    }
    if row.close.is_empty() || row.close.eq_ignore_ascii_case("N/D") {
        return Err(Fault::NoPrice);
    }
    let price = plain_number(&row.close).ok_or(Fault::Price)?;
    // Half up, because that is how people round prices; the arithmetic default rounds half to even.
    let price = price.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    if price.is_zero() {
        // Also a fraction of a cent: "$0.00 per share" would be wrong.
        return Err(Fault::NoPrice);
    }
    Ok(price)
}

/// Parses digits with at most one dot between them. The decimal parser alone would also take signs and `1_000`.
fn plain_number(text: &str) -> Option<Decimal> {
    let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let framed = !text.starts_with('.') && !text.ends_with('.');
    let fits = text.len() <= PRICE_CHARS_MAX && framed && text.bytes().all(plain);
    fits.then(|| Decimal::from_str_exact(text).ok()).flatten()
}
