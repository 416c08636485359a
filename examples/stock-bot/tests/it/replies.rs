//! The body of a reply: what is read, and what is refused with which reason.

use std::time::{Duration, Instant};

use stock_bot::{Quote, Reason};

use crate::fixture::code;

/// Reads a reply to a request for `AAPL.US`.
fn read(body: impl AsRef<[u8]>) -> Result<String, Reason> {
    let quote = Quote::from_csv(&code("aapl.us"), body.as_ref());
    quote.map(|quote| quote.to_string()).map_err(|refusal| refusal.reason())
}

fn read_close(close: &str) -> Result<String, Reason> {
    read(format!("Symbol,Close\nAAPL.US,{close}\n"))
}

fn sentence(price: &str) -> String {
    format!("AAPL.US quote is ${price} per share")
}

#[test]
fn the_sentence_has_the_upper_case_symbol_and_two_decimals() {
    for (close, price) in
        [("93.42", "93.42"), ("93.4", "93.40"), ("93", "93.00"), ("093.42", "93.42"), ("715820.00", "715820.00")]
    {
        assert_eq!(read_close(close), Ok(sentence(price)), "{close}");
    }
}

#[test]
fn prices_are_rounded_half_up_in_decimal_arithmetic() {
    for (close, price) in [
        ("1.005", "1.01"), // as a binary float this is 1.00499…
        ("2.675", "2.68"),
        ("0.125", "0.13"),
        ("0.005", "0.01"),
        ("99.994999", "99.99"),
        ("99.995", "100.00"),
    ] {
        assert_eq!(read_close(close), Ok(sentence(price)), "{close}");
    }
}

#[test]
fn an_empty_reply_is_unclear_v1() {
    for body in ["", "\n", "\r\n\r\n", " ", "\u{feff}", "\0"] {
        assert_eq!(read(body), Err(Reason::Unclear), "{body:?}");
    }
}

#[test]
fn a_header_without_a_row_is_not_found_v2() {
    for body in ["Symbol,Close", "Symbol,Close\r\n", "Symbol,Close\r\n\r\n"] {
        assert_eq!(read(body), Err(Reason::NotFound), "{body:?}");
    }
}

#[test]
fn no_data_fields_are_not_found_v3() {
    let stooq = "Symbol,Date,Time,Open,High,Low,Close,Volume\r\nAAPL.US,N/D,N/D,N/D,N/D,N/D,N/D,N/D\r\n";
    assert_eq!(read(stooq), Err(Reason::NotFound));
    for close in ["N/D", "n/d", "", "  ", "\"\"", "0", "0.00", "0.004"] {
        assert_eq!(read_close(close), Err(Reason::NotFound), "{close:?}");
    }
}

#[test]
fn a_reply_without_one_close_is_unclear_v4() {
    for body in [
        "Symbol,Open\nAAPL.US,93.42\n",
        "Symbol\nAAPL.US\n",
        "Close\n93.42\n",
        "AAPL.US,93.42\n",
        "Symbol,Close\nAAPL.US\n",
        "Symbol,Close\nAAPL.US,93.42,1\n",
        "Symbol,Close,Close\nAAPL.US,93.42,94\n",
        "Symbol,Symbol,Close\nAAPL.US,AAPL.US,93.42\n",
    ] {
        assert_eq!(read(body), Err(Reason::Unclear), "{body:?}");
    }
}

#[test]
fn columns_are_found_by_name_in_any_order_v5() {
    for body in [
        "Close,Symbol\n93.42,AAPL.US\n",
        "Name,Close,Date,Symbol,Volume\nApple,93.42,2024-07-02,AAPL.US,1\n",
        "symbol,CLOSE\naapl.us,93.42\n",
        " Symbol , Close \n AAPL.US , 93.42 \n",
    ] {
        assert_eq!(read(body), Ok(sentence("93.42")), "{body:?}");
    }
}

#[test]
fn a_close_that_is_no_plain_positive_number_is_unclear_v6() {
    let (forty, fraction) = ("9".repeat(40), format!("0.{}1", "0".repeat(38)));
    for close in [
        "1e400",
        "1e2",
        "-1",
        "+1",
        "-0",
        "NaN",
        "inf",
        "\"1,234.5\"",
        "1_000",
        "1 000",
        "0x10",
        "1.2.3",
        ".5",
        "5.",
        ".",
        "$5",
        "93.42;",
        "\u{0669}\u{0663}",
        &forty,
        &fraction,
    ] {
        assert_eq!(read_close(close), Err(Reason::Unclear), "{close:?}");
    }
    // No price is this long, even where the digits would fit.
    assert!(read_close(&"9".repeat(24)).is_ok());
    assert_eq!(read_close(&"9".repeat(25)), Err(Reason::Unclear));
    assert_eq!(read_close(&format!("{}93.42", "0".repeat(40))), Err(Reason::Unclear));
    // Unquoted, the comma makes one field too many.
    assert_eq!(read_close("1,234.5"), Err(Reason::Unclear));
}

#[test]
fn quoted_commas_and_line_ends_are_parsed_v7() {
    for body in [
        "Symbol,Name,Close\n\"AAPL.US\",\"Apple, Inc.\",\"93.42\"\n",
        "Symbol,Name,Close\nAAPL.US,\"Apple\nInc.\",93.42\n",
        "Symbol,Name,Close\r\nAAPL.US,\"Apple\r\nInc.\",93.42\r\n",
        "Symbol,Name,Close\nAAPL.US,\"the \"\"fruit\"\"\",93.42\n",
        "\"Symbol\",\"Close\"\r\n\"AAPL.US\",\"93.42\"\r\n",
    ] {
        assert_eq!(read(body), Ok(sentence("93.42")), "{body:?}");
    }
}

#[test]
fn a_lone_quote_is_unclear_v7() {
    for body in [
        "Symbol,Close\nAAPL.US,\"93.42\n",
        "Symbol,Close\nAAPL.US,\"93.42",
        "Symbol,Close\nAAPL.US,93.42\"\n",
        "Symbol,Close\nAAPL.US,93\"42\n",
        "Symbol,Close\nAAPL.US,\"93.4\"2\n",
        "Symbol,Close\n\"AAPL\".US,93.42\n",
        "Symbol,Close\nAAPL.US, \"93.42\"\n",
    ] {
        assert_eq!(read(body), Err(Reason::Unclear), "{body:?}");
    }
}

#[test]
fn a_byte_order_mark_crlf_and_a_missing_last_line_end_are_parsed_v8() {
    for body in [
        "\u{feff}Symbol,Close\r\nAAPL.US,93.42\r\n",
        "\u{feff}\"Symbol\",Close\nAAPL.US,93.42",
        "Symbol,Close\r\nAAPL.US,93.42",
        "Symbol,Close\nAAPL.US,93.42\n\n",
        "\r\nSymbol,Close\r\n\r\nAAPL.US,93.42\r\n",
    ] {
        assert_eq!(read(body), Ok(sentence("93.42")), "{body:?}");
    }
}

#[test]
fn cr_alone_and_semicolons_are_unclear_v8() {
    for body in [
        "Symbol,Close\rAAPL.US,93.42\r",
        "Symbol,Close\nAAPL.US,93.42\r",
        "Symbol,Close\rAAPL.US,93.42\n",
        "Symbol,Close\nAAPL.US,93\r.42\n",
        "Symbol;Close\r\nAAPL.US;93.42\r\n",
        "Symbol\tClose\nAAPL.US\t93.42\n",
    ] {
        assert_eq!(read(body), Err(Reason::Unclear), "{body:?}");
    }
}

#[test]
fn latin_1_and_utf_16_are_unclear_v9() {
    let latin_1 = b"Symbol,Name,Close\nAAPL.US,Caf\xe9,93.42\n";
    assert_eq!(read(latin_1), Err(Reason::Unclear));
    let text = "\u{feff}Symbol,Close\nAAPL.US,93.42\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for body in [&little[..], &little[2..], &big[..], &big[2..]] {
        assert_eq!(read(body), Err(Reason::Unclear), "{body:?}");
    }
}

#[test]
fn an_html_page_is_unclear_v11() {
    for body in
        ["<!DOCTYPE html><html lang=\"en\"><title>Error</title></html>", "<html><body>Symbol,Close</body></html>"]
    {
        assert_eq!(read(body), Err(Reason::Unclear), "{body:?}");
    }
}

#[test]
fn a_notice_about_a_limit_is_busy_and_about_a_key_is_denied() {
    assert_eq!(read("Exceeded the daily hits limit"), Err(Reason::Busy));
    assert_eq!(read("Exceeded the daily hits limit\r\n"), Err(Reason::Busy));
    let key = "Get your apikey:\n\n1. Open the page\n2. Enter the code, e.g. 1234\n";
    assert_eq!(read(key), Err(Reason::Denied));
}

#[test]
fn a_symbol_of_the_reply_is_never_repeated_v14() {
    for symbol in ["=cmd|' /C calc'!A0", "<script>alert(1)</script>", "@everyone", "\u{202e}SU.LPAA", "A\u{430}PL.US"] {
        let refusal = Quote::from_csv(&code("aapl.us"), format!("Symbol,Close\n{symbol},93.42\n").as_bytes());
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.to_string(), "No quote for AAPL.US: the quote service gave an unclear answer");
        assert!(!format!("{refusal:?}").contains(symbol), "{refusal:?}");
    }
}

#[test]
fn another_symbol_or_a_second_row_is_unclear_v15() {
    for body in [
        "Symbol,Close\nMSFT.US,93.42\n",
        "Symbol,Close\nAAPL,93.42\n",
        "Symbol,Close\n,93.42\n",
        "Symbol,Close\nAAPL.US,93.42\nMSFT.US,1\n",
        "Symbol,Close\nAAPL.US,93.42\nAAPL.US,94\n",
    ] {
        assert_eq!(read(body), Err(Reason::Unclear), "{body:?}");
    }
}

#[test]
fn a_million_columns_are_refused_and_quickly_v17() {
    let names = "x,".repeat(1_000_000);
    let start = Instant::now();
    for body in [names.clone(), format!("Symbol,Close,{names}\nAAPL.US,93.42,{names}\n")] {
        assert_eq!(read(body), Err(Reason::Unclear));
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
