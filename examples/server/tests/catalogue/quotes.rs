//! V1 to V17: what a quote service answers.

use futures::future::join_all;

use crate::{
    case::{Case, same},
    row::Part,
    upstream::{Script, body, csv},
};

pub(crate) const PART: Part = Part {
    title: "Replies of the quote service",
    intro: "What `/stock=CODE` is answered by the service that is asked over HTTP. The reply is the one message of the bot: \
            `$93.42`, or the sentence that says why there is no quote. A good code, asked for afterwards, is answered.",
    rows: &[ROWS, SLOW, ELSEWHERE],
};

cases! { ROWS, shared;
    "V1" v01_empty: "an empty body, line breaks, a byte order mark" => "the quote service gave an unclear answer",
        bodies(&["", "\r\n\r\n", "\u{feff}", "\0"]);
    "V2" v02_header_only: "a header without a row" => "no price is known for this code",
        bodies(&["Symbol,Close", "Symbol,Close\r\n"]);
    "V3" v03_no_data: "`N/D`, nothing or zero for the price" => "no price is known for this code",
        bodies(&["Symbol,Date,Close\r\nCODE,N/D,N/D\r\n", "Symbol,Close\r\nCODE,\r\n", "Symbol,Close\r\nCODE,0.00\r\n"]);
    "V4" v04_no_close: "no column `Close`, or two of them" => "the quote service gave an unclear answer",
        bodies(&["Symbol,Open\r\nCODE,93.42\r\n", "Symbol,Close,Close\r\nCODE,93.42,93.42\r\n", "CODE,93.42\r\n"]);
    "V5" v05_other_columns: "columns in another order, and more of them" => "$93.42",
        bodies(&["Close,Symbol\r\n93.42,CODE\r\n", "Name,Close,Date,Symbol\r\nApple,93.42,2026-07-02,CODE\r\n"]);
    "V6" v06_no_number: "the prices `1e400`, `-1`, `NaN`, `\"1,234.5\"`, `$5`, `0x10`, 40 digits" =>
        "the quote service gave an unclear answer",
        closes(&["1e400", "-1", "NaN", "\"1,234.5\"", "$5", "0x10", "9999999999999999999999999999999999999999"]);
    "V6.round" v06_round: "the price `93.415`: two decimals, half up" => "$93.42", closes(&["93.415", "093.42", "93.4199"]);
    "V7" v07_quotes: "commas and line breaks in quotes" => "$93.42",
        bodies(&["Symbol,Name,Close\r\n\"CODE\",\"Apple, Inc.\",\"93.42\"\r\n", "Symbol,Name,Close\nCODE,\"Apple\nInc.\",93.42\n"]);
    "V7.lone" v07_lone_quote: "a quote that is not closed, or in the middle" => "the quote service gave an unclear answer",
        bodies(&["Symbol,Close\r\nCODE,\"93.42\r\n", "Symbol,Close\r\nCODE,\"93.4\"2\r\n"]);
    "V8" v08_line_ends: "a byte order mark, LF, no last line end" => "$93.42",
        bodies(&["\u{feff}Symbol,Close\r\nCODE,93.42\r\n", "Symbol,Close\nCODE,93.42"]);
    "V8.other" v08_other_separators: "CR alone, semicolons, tabs" => "the quote service gave an unclear answer",
        bodies(&["Symbol,Close\rCODE,93.42\r", "Symbol;Close\r\nCODE;93.42\r\n", "Symbol\tClose\r\nCODE\t93.42\r\n"]);
    "V9" v09_other_encodings: "Latin-1 and UTF-16" => "the quote service gave an unclear answer", other_encodings;
    "V10.endless" v10_endless: "a body without end" => "the quote service gave an unclear answer", scripts(endless);
    "V10.announced" v10_gibibyte: "a gibibyte, announced" => "the quote service gave an unclear answer", scripts(gibibyte);
    "V11" v11_html: "an HTML page with status 200" => "the quote service gave an unclear answer",
        bodies(&["<!DOCTYPE html>\n<html><title>Down</title></html>\n", "<html>Symbol,Close\nCODE,93.42\n</html>"]);
    "V12" v12_redirects: "redirects to 127.0.0.1, to a file, to itself" => "the quote service is not available, asked once", redirects;
    "V13" v13_statuses: "the statuses 500, 503, 404, 206, 204 with a good quote" => "the quote service is not available",
        scripts(|_| ["500 X", "503 X", "404 X", "206 X", "204 X"].map(status).into());
    "V13.busy" v13_too_many: "the status 429" => "the quote service is over its limit, please try later",
        scripts(|_| vec![status("429 X")]);
    "V13.cut" v13_cut_off: "a connection that closes before the answer, in its head or in its body" =>
        "the quote service is not available", scripts(cut_off);
    "V14" v14_symbols: "`=cmd|' /C calc'!A0`, `<script>`, `@everyone`, an override as the symbol" =>
        "the quote service gave an unclear answer",
        bodies(&[
            "Symbol,Close\r\n=cmd|' /C calc'!A0,93.42\r\n",
            "Symbol,Close\r\n<script>alert(1)</script>,93.42\r\n",
            "Symbol,Close\r\n@everyone,93.42\r\n",
            "Symbol,Close\r\n\u{202e}CODE,93.42\r\n",
        ]);
    "V15" v15_another_symbol: "another symbol than was asked for, or a second row" => "the quote service gave an unclear answer",
        bodies(&["Symbol,Close\r\nMSFT.US,93.42\r\n", "Symbol,Close\r\nCODE,93.42\r\nCODE,94\r\n"]);
    "V16" v16_packed: "a packed body: 1 MiB in 1 KiB" => "the quote service gave an unclear answer", scripts(packed);
    "V17" v17_a_million_columns: "a million columns" => "the quote service gave an unclear answer",
        scripts(|_| vec![csv(&"x,".repeat(1_000_000))]);
    "V17.narrow" v17_20_000_columns: "20,000 columns, which is below the limit of bytes" => "the quote service gave an unclear answer",
        scripts(|code| vec![csv(&format!("Symbol,Close,{}\r\n{code},93.42\r\n", "x,".repeat(20_000)))]);
}

cases! { SLOW, alone;
    "V10" v10_slow: "no answer at all, a head or a body of one byte a second" => "the quote service took too long, after 5 s", slow;
}

proven_in! { ELSEWHERE;
    "V13.tls" "no TLS where TLS should be" => "the quote service is not available",
        "examples/stock-bot/tests/it/source.rs", "a_server_without_tls_is_refused_v13";
    "V13.port" "a closed port" => "the quote service is not available",
        "examples/stock-bot/tests/it/source.rs", "a_closed_port_is_refused_v13";
}

/// Asks for a code that is answered with these bodies in turn, in which `CODE` stands for it.
fn bodies(bodies: &[&str]) -> impl AsyncFnOnce(&mut Case) -> String {
    scripts(move |code| bodies.iter().map(|body| csv(&body.replace("CODE", code))).collect())
}

fn closes(prices: &[&str]) -> impl AsyncFnOnce(&mut Case) -> String {
    scripts(move |code| prices.iter().map(|price| csv(&format!("Symbol,Close\r\n{code},{price}\r\n"))).collect())
}

fn scripts(make: impl FnOnce(&str) -> Vec<Script>) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let code = "BAD.US";
        let mut replies = Vec::new();
        for script in make(code) {
            case.upstream.will(code, script);
            replies.push(in_short(&case.command("/stock=bad.us").await, code));
        }
        replies.dedup();
        let after = in_short(&case.command("/stock=good.us").await, "GOOD.US");
        if after == "$93.42" { same(replies) } else { format!("{}, and then {after}", same(replies)) }
    }
}

/// Leaves out what is the same in every reply about this code.
fn in_short(reply: &str, code: &str) -> String {
    let quote = reply.strip_prefix(&format!("{code} quote is ")).and_then(|rest| rest.strip_suffix(" per share"));
    let refusal = reply.strip_prefix(&format!("No quote for {code}: "));
    quote.or(refusal).unwrap_or(reply).to_owned()
}

fn status(line: &str) -> Script {
    let good = "Symbol,Close\r\nBAD.US,93.42\r\n";
    let length = if line.starts_with("204") { 0 } else { good.len() };
    let head = format!("HTTP/1.1 {line}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    Script::Bytes((head + &good[..length]).into_bytes())
}

async fn other_encodings(case: &mut Case) -> String {
    let text = "\u{feff}Symbol,Close\r\nBAD.US,93.42\r\n";
    let latin_1 = b"Symbol,Name,Close\r\nBAD.US,Caf\xe9,93.42\r\n".to_vec();
    let little = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    scripts(|_| [latin_1, little, big].map(|bytes: Vec<u8>| body("", bytes)).into())(case).await
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

fn endless(code: &str) -> Vec<Script> {
    let line = format!("Symbol,Close\r\n{code},93.42\r\n").repeat(100);
    vec![Script::Endless(HEAD.into(), line.into()), Script::Endless(HEAD.into(), vec![0; 4096])]
}

fn gibibyte(code: &str) -> Vec<Script> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1 << 30);
    vec![Script::Endless(head.into(), format!("{code},93.42\r\n").repeat(1_000).into())]
}

fn cut_off(code: &str) -> Vec<Script> {
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nSymbol,Close\r\n{code},93.42\r\n");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nSymbo";
    [&*whole, chunked, "HTTP/1.1 200", "", "\0\0\0"].map(|bytes| Script::Bytes(bytes.into())).into()
}

async fn redirects(case: &mut Case) -> String {
    let elsewhere = format!("http://{}/q?s=INSIDE", case.upstream.address());
    let itself = format!("http://{}/q?s=BAD.US", case.upstream.address());
    let before = case.upstream.asked().len();
    let targets = [elsewhere, "file:///etc/passwd".into(), "//127.0.0.1/".into(), itself];
    let to = |target: &String| {
        Script::Bytes(
            format!("HTTP/1.1 301 X\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into(),
        )
    };
    let reply = scripts(|_| targets.iter().map(to).collect())(case).await;
    let asked = case.upstream.asked().split_off(before);
    let once =
        asked.iter().filter(|code| *code == "BAD.US").count() == targets.len() && asked.len() == targets.len() + 1;
    if once { format!("{reply}, asked once") } else { format!("{reply}, asked {asked:?}") }
}

/// A megabyte of zeros, packed into a thousand bytes: what is read is what crosses the network, and that is no CSV.
fn packed(_: &str) -> Vec<Script> {
    const BEGIN: [u8; 26] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xed, 0xc1, 0x31, 1, 0, 0, 0, 0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 8, 0x5f, 0xa0,
        0,
    ];
    let mut bytes = BEGIN.to_vec();
    bytes.resize(1_000, 0);
    ["gzip", "deflate", "br"].map(|coding| body(&format!("content-encoding: {coding}\r\n"), &bytes)).into()
}

/// Asks for three at once: each takes its time.
async fn slow(case: &mut Case) -> String {
    let good = b"Symbol,Close\r\nSLOW.US,93.42\r\n";
    case.upstream.will("SLOW-A.US", Script::Silence);
    case.upstream.will("SLOW-B.US", Script::Trickle(Vec::new(), HEAD.into()));
    case.upstream.will("SLOW-C.US", Script::Trickle(HEAD.into(), good.into()));
    let began = std::time::Instant::now();
    let asked = ["SLOW-A.US", "SLOW-B.US", "SLOW-C.US"].map(|code| {
        let mut one = case.clone();
        async move { in_short(&one.command_about(&format!("/stock={code}"), code).await, code) }
    });
    let replies = join_all(asked).await;
    case.stores(3);
    let took = began.elapsed().as_secs();
    let after = if (5..25).contains(&took) { "5 s".into() } else { format!("{took} s") }; // a busy machine is slower
    format!("{}, after {after}", same(replies))
}
