//! The code of a stock, as a user may ask for it.

use std::fmt;
use std::str::FromStr;

/// The longest code; the longest in use (an index or a future with its exchange) has about ten characters.
const CHARS_MAX: usize = 16;

/// Names one stock: 1 to 16 of `A-Z a-z 0-9 . ^ -`, kept and shown in upper case.
///
/// A value of this type is safe to put in a URL, a sentence and a log line: nothing outside that set, in
/// particular no `/ : @ ? & # %`, control character or look-alike letter, can be in it.
///
/// A code of dots only is refused as well: in the path of a URL, `.` and `..` are steps and not names.
///
/// ```
/// use stock_bot::StockCode;
///
/// let code: StockCode = "aapl.us".parse()?;
/// assert_eq!(code.to_string(), "AAPL.US");
/// assert!("../../etc".parse::<StockCode>().is_err());
/// # Ok::<(), stock_bot::InvalidCode>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StockCode(Box<str>);

impl StockCode {
    /// Returns the code in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the code as it stands in a URL; `^` is the only allowed character that needs an escape there.
    pub(crate) fn in_url(&self) -> String {
        self.0.replace('^', "%5E")
    }
}

impl FromStr for StockCode {
    type Err = InvalidCode;

    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".^-".contains(&byte);
        let fits = (1..=CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if !fits || text.bytes().all(|byte| byte == b'.') {
            return Err(InvalidCode);
        }
        Ok(Self(text.to_ascii_uppercase().into()))
    }
}

impl fmt::Display for StockCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Tells a chat user what a code looks like. It does not repeat what they typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A stock code has 1 to 16 letters, digits, dots, dashes or carets, for example AAPL.US")]
pub struct InvalidCode;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_code_is_shown_in_upper_case() {
        for (typed, shown) in [("aapl.us", "AAPL.US"), ("^spx", "^SPX"), ("brk-b.us", "BRK-B.US")] {
            assert_eq!(typed.parse::<StockCode>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_code_of_sixteen_is_accepted_and_of_seventeen_refused() {
        assert!("A".repeat(16).parse::<StockCode>().is_ok());
        assert!("A".repeat(17).parse::<StockCode>().is_err());
    }

    #[test]
    fn only_the_allowed_characters_are_accepted() {
        for byte in 0..=u8::MAX {
            let listed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.^-";
            let text = format!("A{}", char::from(byte));
            let accepted = text.parse::<StockCode>().is_ok();
            assert_eq!(accepted, listed.contains(&byte), "byte {byte:#04x}");
        }
    }

    #[test]
    fn a_code_that_could_steer_the_request_is_refused_c1_to_c8() {
        let long = "A".repeat(33);
        let tricks = [
            "",
            "AAPL.US&f=x",
            "../../etc",
            "http://127.0.0.1/",
            "@169.254.169.254",
            "\u{430}apl", // the first letter is Cyrillic
            "a%0d%0aHost:x",
            &long,
            ".",
            "..",
            "a\n",
            "a b",
            "a\0",
        ];
        for trick in tricks {
            assert_eq!(trick.parse::<StockCode>(), Err(InvalidCode), "{trick:?}");
        }
    }

    #[test]
    fn the_caret_is_escaped_in_a_url() {
        assert_eq!("^spx".parse::<StockCode>().unwrap().in_url(), "%5ESPX");
    }
}
