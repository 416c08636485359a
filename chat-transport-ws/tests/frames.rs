//! Bad frames: each ends its connection with the stated code, and others are served on.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{BINARY, CLOSE, PING, PONG, Server, TEXT, frame, front_config, request, ws_config};

/// Sends these bytes on a new connection. Returns the code it is closed with.
async fn code_of(server: &Server, bytes: &[u8]) -> u16 {
    let mut raw = server.shaken().await;
    raw.send(bytes).await;
    raw.close_code().await
}

#[tokio::test]
async fn w12_bytes_that_come_with_the_request_are_frames() {
    let server = Server::start().await;
    let mut raw = server.connect().await;
    raw.send(&[request(&[]), frame(PING, b"early")].concat()).await;
    assert_eq!(raw.status().await, 101);
    assert_eq!(raw.frame().await.unwrap(), (PONG, b"early".to_vec()));
    server.still_serves().await;
}

#[tokio::test]
async fn w13_to_w17_broken_framing_is_a_protocol_error() {
    let server = Server::start().await;
    let unmasked = [&[TEXT, 2][..], b"{}"].concat();
    let mut cases = vec![
        unmasked,
        frame(PING, &[0; 126]),
        frame(PING & 0x7F, b"x"),
        frame(0x80, b"continued from nothing"),
        [frame(0x01, b"a"), frame(TEXT, b"b")].concat(),
    ];
    cases.extend([0x40, 0x20, 0x10].map(|rsv| frame(TEXT | rsv, b"{}")));
    cases.extend([3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF].map(|opcode| frame(0x80 | opcode, b"{}")));
    for bytes in cases {
        assert_eq!(code_of(&server, &bytes).await, 1002, "{:x?}", &bytes[..2]);
    }
    server.still_serves().await;
}

#[tokio::test]
async fn w18_impossible_lengths_are_too_large() {
    let server = Server::start().await;
    for length in [1u64 << 63, u64::MAX, 1 << 40] {
        let bytes = [&[TEXT, 0xFF][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat();
        assert_eq!(code_of(&server, &bytes).await, 1009, "{length}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn w18_a_length_in_more_bytes_than_needed_is_accepted() {
    let server = Server::start().await;
    let mut raw = server.shaken().await;
    raw.send(&[PING, 0xFE, 0, 1, 0, 0, 0, 0, b'x']).await;
    assert_eq!(raw.frame().await.unwrap(), (PONG, b"x".to_vec()));
    server.still_serves().await;
}

#[tokio::test]
async fn w19_a_message_above_the_limit_is_too_large() {
    let server = Server::start().await;
    let limit = 64 * 1024;
    assert_eq!(code_of(&server, &frame(TEXT, &vec![b'x'; limit + 1])).await, 1009);
    let mut parts = frame(0x01, &[b'x'; 1024]);
    (0..64).for_each(|_| parts.extend(frame(0x00, &[b'x'; 1024])));
    assert_eq!(code_of(&server, &parts).await, 1009);
    server.still_serves().await;
}

#[tokio::test]
async fn w20_fragments_without_end_are_abuse() {
    let server = Server::start().await;
    let cases = [frame(0x00, b""), frame(0x00, b"x"), [frame(0x00, b""), frame(PONG, b"")].concat()];
    for fragment in cases {
        let mut raw = server.shaken().await;
        raw.send(&frame(0x01, b"")).await;
        let many = fragment.repeat(1000);
        let mut sent = 0;
        while sent < 1_000_000 && raw.send(&many).await {
            sent += many.len();
        }
        assert_eq!(raw.close_code().await, 1008);
    }
    server.still_serves().await;
}

#[tokio::test]
async fn w21_bad_utf8_is_told_so() {
    let server = Server::start().await;
    let cases: [&[u8]; 5] = [b"\xFF", b"\xED\xA0\x80", b"\xC0\xAF", b"\xF4\x90\x80\x80", b"\xE2\x82"];
    for text in cases {
        assert_eq!(code_of(&server, &frame(TEXT, text)).await, 1007, "{text:x?}");
        let split = [frame(0x01, &text[..1]), frame(0x80, &text[1..])].concat();
        assert_eq!(code_of(&server, &split).await, 1007, "{text:x?} split");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn w22_a_binary_frame_is_not_spoken_here() {
    let server = Server::start().await;
    assert_eq!(code_of(&server, &frame(BINARY, b"{}")).await, 1003);
    server.still_serves().await;
}

#[tokio::test]
async fn w23_a_close_frame_that_is_none_is_a_protocol_error() {
    let server = Server::start().await;
    for code in [999u16, 1004, 1005, 1006, 1015, 5000] {
        assert_eq!(code_of(&server, &frame(CLOSE, &code.to_be_bytes())).await, 1002, "{code}");
    }
    assert_eq!(code_of(&server, &frame(CLOSE, &[3])).await, 1002);
    assert_eq!(code_of(&server, &frame(CLOSE, b"\x03\xE8\xFF")).await, 1007);
    server.still_serves().await;
}

#[tokio::test]
async fn w24_what_follows_a_close_is_ignored() {
    let server = Server::start().await;
    let bytes = [frame(CLOSE, &1000u16.to_be_bytes()), frame(TEXT, b"{}"), frame(BINARY, b"x")].concat();
    let mut raw = server.shaken().await;
    raw.send(&bytes).await;
    assert_eq!(raw.frame().await.unwrap(), (CLOSE, 1000u16.to_be_bytes().to_vec()));
    raw.ended().await;
    server.still_serves().await;
}

#[tokio::test]
async fn w25_a_flood_of_pings_is_slowed_down_and_then_ended() {
    let server = Server::start().await;
    let mut raw = server.shaken().await;
    raw.send(&frame(PING, b"x").repeat(10_000)).await;
    let mut pongs = 0;
    let code = loop {
        match raw.frame().await {
            Some((PONG, _)) => pongs += 1,
            Some((CLOSE, payload)) => break u16::from_be_bytes([payload[0], payload[1]]),
            Some(_) => {}
            None => break 0,
        }
    };
    assert_eq!(code, 1008);
    assert!((50..100).contains(&pongs), "{pongs}");
    server.still_serves().await;
}

#[tokio::test]
async fn w26_a_pong_nobody_asked_for_is_ignored() {
    let server = Server::start().await;
    let mut raw = server.shaken().await;
    raw.send(&[frame(PONG, b"?").repeat(10), frame(PING, b"!")].concat()).await;
    assert_eq!(raw.frame().await.unwrap(), (PONG, b"!".to_vec()));
    server.still_serves().await;
}

#[tokio::test]
async fn w27_half_a_frame_and_then_silence_ends_with_the_ping() {
    let mut config = ws_config();
    (config.ping_every, config.pong_within) = (Duration::from_millis(200), Duration::from_millis(200));
    let server = Server::with(config, front_config()).await;
    let mut raw = server.shaken().await;
    raw.send(&frame(TEXT, b"never finished")[..8]).await;
    assert_eq!(raw.frame().await.unwrap(), (PING, Vec::new()));
    assert_eq!(raw.close_code().await, 4010);
    server.still_serves().await;
}

#[tokio::test]
async fn w28_a_connection_that_breaks_is_given_back() {
    let server = Server::start().await;
    let reset = server.shaken().await;
    socket2::SockRef::from(&reset.stream).set_linger(Some(Duration::ZERO)).unwrap();
    let mut cut = server.shaken().await;
    cut.send(&frame(TEXT, b"never finished")[..8]).await;
    drop((reset, cut));
    assert!(server.ws.closed(common::SOON).await);
    server.still_serves().await;
}

#[tokio::test]
async fn the_protocols_close_frame_comes_before_the_websockets() {
    let server = Server::start().await;
    let mut raw = server.shaken().await;
    raw.send(&frame(BINARY, b"x")).await;
    let (first, json) = raw.frame().await.unwrap();
    assert_eq!(first, TEXT);
    let json = String::from_utf8(json).unwrap();
    assert!(json.starts_with(r#"{"type":"close","code":1003,"#), "{json}");
    let (first, payload) = raw.frame().await.unwrap();
    assert_eq!((first, &payload[2..]), (CLOSE, &b"only text frames"[..]));
}
