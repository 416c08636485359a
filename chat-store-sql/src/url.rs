//! Parameters of a URL: those that are ours and not the driver's, and those that nobody knows.

use chat_core::{StoreError, StoreErrorKind};

/// Takes a parameter out of a URL, and returns what is left and its value.
#[cfg(feature = "postgres")]
pub(crate) fn without(url: &str, name: &str) -> (String, Option<String>) {
    let Some((start, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (mut left, mut value) = (Vec::new(), None);
    for pair in query.split('&') {
        match pair.split_once('=').unwrap_or((pair, "")) {
            (key, given) if key == name => value = Some(given.to_owned()),
            _ => left.push(pair),
        }
    }
    let left = if left.is_empty() { start.to_owned() } else { format!("{start}?{}", left.join("&")) };
    (left, value)
}

/// Refuses a URL with a parameter that is none of these. The driver would pass over it: a name that is misspelt would
/// be one that is not set.
pub(crate) fn check(url: &str, known: &[&str]) -> Result<(), StoreError> {
    let Some(name) = unknown(url, known) else { return Ok(()) };
    // A password that was not escaped may stand where a name should.
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let name = if plain { name } else { "…" };
    let what = format!("the URL's parameter `{name}` is none of {}", known.join(", "));
    Err(StoreError::new(StoreErrorKind::Other, what))
}

fn unknown<'a>(url: &'a str, known: &[&str]) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let names = query.split('&').filter(|pair| !pair.is_empty());
    names.map(|pair| pair.split(['=', '[']).next().unwrap_or_default()).find(|name| !known.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_parameter_is_found() {
        let known = ["sslmode", "options"];
        for (url, found) in [
            ("postgres://h/d", None),
            ("postgres://h/d?sslmode=require&options[work_mem]=1MB", None),
            ("postgres://h/d?sslmode=require&shema=foo", Some("shema")),
            ("postgres://h/d?ssl", Some("ssl")),
        ] {
            assert_eq!(unknown(url, &known), found);
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_parameter_of_ours_is_taken_out() {
        let table = [
            ("postgres://h/d", "postgres://h/d", None),
            ("postgres://h/d?schema=chat", "postgres://h/d", Some("chat")),
            ("postgres://h/d?schema", "postgres://h/d", Some("")),
            (
                "postgres://h/d?sslmode=require&schema=chat&port=1",
                "postgres://h/d?sslmode=require&port=1",
                Some("chat"),
            ),
        ];
        for (url, left, schema) in table {
            assert_eq!(without(url, "schema"), (left.to_owned(), schema.map(str::to_owned)));
        }
    }
}
