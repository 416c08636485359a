//! The token of a login: random, shown once, kept as its hash.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// 256 bits as hexadecimal digits.
const TOKEN_CHARS: usize = 64;

/// Makes a token: 256 random bits.
pub(crate) fn fresh() -> Result<String, getrandom::Error> {
    Ok(hex(&random::<32>()?))
}

/// Makes the id of a login: fit for logs, worth nothing to who reads it.
pub(crate) fn login_id() -> Result<String, getrandom::Error> {
    Ok(hex(&random::<16>()?))
}

/// Returns what is stored of a token: a stolen database opens no login. `None` for what is no token of ours.
///
/// A fast hash is enough: nobody guesses 256 random bits.
pub(crate) fn stored(token: &str) -> Option<Vec<u8>> {
    let ours = token.len() == TOKEN_CHARS && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then(|| Sha256::digest(token).to_vec())
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_token_has_256_bits_and_is_stored_as_a_hash() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(one, other);
        assert_eq!(stored(&one).unwrap().len(), 32);
        assert!(!stored(&one).unwrap().windows(8).any(|part| one.as_bytes().windows(8).any(|text| text == part)));
    }

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        for text in ["", "x", &"g".repeat(64), &"a".repeat(65), &"é".repeat(32)] {
            assert_eq!(stored(text), None, "{text:?}");
        }
    }
}
