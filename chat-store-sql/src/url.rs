//! Parameters of a URL that are ours and not the driver's.

/// Takes a parameter out of a URL, and returns what is left and its value.
pub(crate) fn without(url: &str, name: &str) -> (String, Option<String>) {
    let Some((start, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (mut left, mut value) = (Vec::new(), None);
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some((key, given)) if key == name => value = Some(given.to_owned()),
            _ => left.push(pair),
        }
    }
    let left = if left.is_empty() { start.to_owned() } else { format!("{start}?{}", left.join("&")) };
    (left, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_of_ours_is_taken_out() {
        let table = [
            ("postgres://h/d", "postgres://h/d", None),
            ("postgres://h/d?schema=chat", "postgres://h/d", Some("chat")),
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
