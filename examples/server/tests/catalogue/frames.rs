//! W13 to W32: bytes on a WebSocket that is open.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    case::{Case, same},
    raw::{BINARY, CLOSE, PING, PONG, TEXT, frame},
    row::Part,
};

pub(crate) const PART: Part = Part {
    title: "Frames",
    intro: "Bytes on an open WebSocket. The reply is a close code, after which the server ends the connection, or what \
            else comes back.",
    rows: &[ROWS, SLOW],
};

cases! { ROWS, shared;
    "W13" w13_unmasked: "a frame that is not masked" => "close 1002", each(|| vec![[&[TEXT, 2][..], b"{}"].concat()]);
    "W14" w14_reserved_bits: "RSV1, RSV2, RSV3; no extension was agreed on" => "close 1002",
        each(|| [0x40, 0x20, 0x10].map(|rsv| frame(TEXT | rsv, b"{}")).into());
    "W15.data" w15_reserved_data_opcodes: "the opcodes 3 to 7" => "close 1002",
        each(|| (3..=7).map(|opcode| frame(0x80 | opcode, b"{}")).collect());
    "W15.control" w15_reserved_control_opcodes: "the opcodes B to F" => "close 1002",
        each(|| (0xB..=0xF).map(|opcode| frame(0x80 | opcode, b"{}")).collect());
    "W16.long" w16_long_control_frame: "a ping and a close of 126 bytes" => "close 1002",
        each(|| vec![frame(PING, &[0; 126]), frame(CLOSE, &[b'x'; 126])]);
    "W16.parts" w16_fragmented_ping: "a ping in fragments" => "close 1002", each(|| vec![frame(PING & 0x7F, b"x")]);
    "W17.first" w17_continuation_of_nothing: "a continuation of nothing" => "close 1002",
        each(|| vec![frame(0x80, b"x"), frame(0x00, b"x")]);
    "W17.inside" w17_text_inside_a_text: "a new text among the fragments of another" => "close 1002",
        each(|| vec![[frame(0x01, b"a"), frame(TEXT, b"b")].concat()]);
    "W18" w18_impossible_lengths: "lengths of 2^40, 2^63 and 2^64 - 1" => "close 1009",
        each(|| [1 << 40, 1 << 63, u64::MAX].map(announced).into());
    "W18.spare" w18_length_in_spare_bytes: "a length in more bytes than it needs" => "pong",
        each(|| vec![vec![PING, 0xFE, 0, 1, 0, 0, 0, 0, b'x']]);
    "W19" w19_large_frame: "a message of 64 KiB and one byte" => "close 1009",
        each(|| vec![frame(TEXT, &[b'x'; 64 * 1024 + 1])]);
    "W19.parts" w19_large_in_fragments: "the same in fragments of 1 KiB" => "close 1009",
        each(|| vec![[frame(0x01, &[b'x'; 1024]), frame(0x00, &[b'x'; 1024]).repeat(64)].concat()]);
    "W19.bytes" w19_large_in_single_bytes: "the same in fragments of one byte" => "close 1008", flood(|| frame(0x00, b"x"));
    "W20.empty" w20_empty_fragments: "empty fragments without end" => "close 1008", flood(|| frame(0x00, b""));
    "W20.pings" w20_fragments_and_pongs: "empty fragments without end, pongs between them" => "close 1008",
        flood(|| [frame(0x00, b""), frame(PONG, b"")].concat());
    "W21.whole" w21_bad_utf8: "texts that are not UTF-8: a stray byte, a surrogate, overlong, above U+10FFFF, cut off" =>
        "close 1007", each(|| NOT_UTF8.iter().map(|text| frame(TEXT, text)).collect());
    "W21.split" w21_bad_utf8_in_fragments: "the same, split over two frames" => "close 1007",
        each(|| NOT_UTF8.iter().map(|text| [frame(0x01, &text[..1]), frame(0x80, &text[1..])].concat()).collect());
    "W22" w22_binary: "a binary frame" => "close 1003", each(|| vec![frame(BINARY, b"{}"), frame(BINARY, b"")]);
    "W23.codes" w23_close_codes: "the close codes 0, 999, 1004, 1005, 1006, 1015, 1016 and 5000" => "close 1002",
        each(|| [0, 999, 1004, 1005, 1006, 1015, 1016, 5000].map(|code: u16| frame(CLOSE, &code.to_be_bytes())).into());
    "W23.half" w23_half_a_code: "half a close code" => "close 1002", each(|| vec![frame(CLOSE, &[3])]);
    "W23.reason" w23_bad_reason: "a reason that is not UTF-8" => "close 1007", each(|| vec![frame(CLOSE, b"\x03\xE8\xFF")]);
    "W23.good" w23_good_close: "the close code 1000" => "close 1000", each(|| vec![frame(CLOSE, &1000_u16.to_be_bytes())]);
    "W24" w24_data_after_close: "a text, a binary frame and a ping after a close" => "close 1000, cut", after_close;
    "W25" w25_ping_flood: "10,000 pings at once" => "50 to 100 pongs, close 1008", pings;
    "W26" w26_pongs: "pongs that nobody asked for, then a ping" => "pong",
        each(|| vec![[frame(PONG, b"?").repeat(10), frame(PING, b"!")].concat()]);
    "W28.reset" w28_reset: "half a frame and TCP's RST" => "gone", async |case| breaks_off(case, true).await;
    "W28.fin" w28_fin: "half a frame and TCP's FIN" => "gone", async |case| breaks_off(case, false).await;
    "W30" w30_deflate_bomb: "a packed text of 1 KB, 1 MB when unpacked, though deflate was not agreed on" => "close 1002",
        each(|| vec![frame(TEXT | 0x40, &[&[0xed, 0xc1, 0x31, 1][..], &[0; 1_000]].concat())]);
    "W31" w31_deflate_fragments: "packed fragments, though deflate was not agreed on" => "close 1002",
        each(|| vec![[frame(0x41, b"\x00"), frame(0x80, b"\x00")].concat(), [frame(0x01, b"a"), frame(0xC0, b"b")].concat()]);
    "W32" w32_never_reads: "64 times the history of 240 KB, and nothing is read" => "closed", never_reads;
}

cases! { SLOW, alone;
    "W27" w27_half_a_frame: "half a frame, half a message, and nothing more" => "ping, close 4010", half_a_frame;
    "W29" w29_no_hello: "1,000 connections of 10 addresses that never say hello" => "100 each, close 4004", no_hello;
}

const NOT_UTF8: [&[u8]; 5] = [b"\xFF", b"\xED\xA0\x80", b"\xC0\xAF", b"\xF4\x90\x80\x80", b"\xE2\x82"];

/// Sends each of these on a connection of its own.
fn each(frames: fn() -> Vec<Vec<u8>>) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let mut replies = Vec::new();
        for bytes in frames() {
            let mut raw = case.shaken().await;
            raw.send(&bytes).await;
            replies.push(raw.reply().await);
        }
        same(replies)
    }
}

/// Makes the head of a frame that announces so many bytes.
fn announced(length: u64) -> Vec<u8> {
    [&[TEXT, 0xFF][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

/// Begins a message and adds this to it until it is no longer taken, at most a megabyte.
fn flood(part: fn() -> Vec<u8>) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        case.takes(Duration::from_millis(300)); // a parse per frame, unoptimised
        let mut raw = case.shaken().await;
        raw.send(&frame(0x01, b"")).await;
        let many = part().repeat(1_000);
        let mut sent = 0;
        while sent < 1_000_000 && raw.send(&many).await {
            sent += many.len();
        }
        raw.reply().await
    }
}

async fn after_close(case: &mut Case) -> String {
    let mut raw = case.shaken().await;
    let close = frame(CLOSE, &1000_u16.to_be_bytes());
    raw.send(&[close, frame(TEXT, b"{}"), frame(BINARY, b"x"), frame(PING, b"x")].concat()).await;
    format!("{}, {}", raw.reply().await, raw.reply().await)
}

async fn pings(case: &mut Case) -> String {
    let mut raw = case.shaken().await;
    raw.send(&frame(PING, b"x").repeat(10_000)).await;
    let mut pongs = 0;
    let end = loop {
        match raw.reply().await {
            pong if pong == "pong" => pongs += 1,
            end => break end,
        }
    };
    let pongs = if (50..=100).contains(&pongs) { "50 to 100".into() } else { pongs.to_string() };
    format!("{pongs} pongs, {end}")
}

/// Breaks the connection off in the middle of a frame, and waits until the server knows.
async fn breaks_off(case: &mut Case, reset: bool) -> String {
    let before = case.open_sockets().await;
    let mut raw = case.greeted().await;
    if case.open_sockets().await != before + 1 {
        return "not counted".into();
    }
    raw.send(&frame(TEXT, b"never finished")[..8]).await;
    if reset {
        raw.stream.set_zero_linger().unwrap();
    }
    drop(raw);
    let deadline = Instant::now() + Duration::from_secs(10);
    while case.open_sockets().await != before {
        if Instant::now() > deadline {
            return "still there".into();
        }
        sleep(Duration::from_millis(20)).await;
    }
    "gone".into()
}

/// Asks for much more than an outbox holds.
async fn never_reads(case: &mut Case) -> String {
    case.takes(Duration::from_secs(1)); // some megabytes of JSON
    let text = "☃".repeat(4_000);
    let mut writer = case.socket().await;
    writer.hear_followed(&case.room).await;
    for number in 0..20 {
        if number == 10 {
            sleep(Duration::from_secs(1)).await; // twenty at once are allowed, and ten more in each second
        }
        writer.post(&case.room, &text).await;
        writer.hear("ack").await;
    }
    case.stores(20);
    case.may_hold(4 * 1024 * 1024); // the outbox, the page that is encoded, the database's cache of it
    let mut raw = case.greeted().await;
    let history = format!(r#"{{"type":"history","ref":1,"room":"{}"}}"#, case.room);
    raw.send(&frame(TEXT, history.as_bytes()).repeat(64)).await;
    let before = case.open_sockets().await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while case.open_sockets().await == before {
        if Instant::now() > deadline {
            return "still open".into();
        }
        sleep(Duration::from_millis(20)).await;
    }
    "closed".into()
}

async fn half_a_frame(case: &mut Case) -> String {
    case.takes(Duration::from_millis(200)); // the server's own clocks, half a minute
    let halves = [frame(TEXT, b"never finished")[..8].to_vec(), frame(0x01, b"never finished"), vec![TEXT]];
    let ends = halves.map(async |half| {
        let mut raw = case.greeted().await;
        raw.send(&half).await;
        raw.patience = Duration::from_secs(40);
        format!("{}, {}", raw.reply().await, raw.reply().await)
    });
    same(join_all(ends).await)
}

/// Connects more often than one address may, and waits.
async fn no_hello(case: &mut Case) -> String {
    case.takes(Duration::from_secs(2)); // a thousand handshakes
    case.may_hold(1_000 * 16 * 1024); // three times what a connection takes
    let began = Instant::now();
    let mut open = Vec::new();
    for neighbour in case.neighbours(10) {
        let mut of_one = neighbour.as_many_as_possible(110).await;
        // While they were opened, some more of the ten a second became allowed.
        if of_one.len() != 100 {
            return format!("{} of one address", of_one.len());
        }
        open.append(&mut of_one);
    }
    let mut ends = Vec::new();
    for raw in &mut open {
        ends.push(raw.reply().await);
    }
    let took = began.elapsed();
    if took < Duration::from_secs(9) { format!("closed after {took:?}") } else { format!("100 each, {}", same(ends)) }
}
