//! The outbox over real sockets whose reader is slow, fast or absent.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;

const BUDGET: usize = 16 * 1024;
const SOON: Duration = Duration::from_secs(5);

fn outbox(io: Io) -> Arc<SocketOutbox> {
    Arc::new(SocketOutbox::new(io, BUDGET, Arc::new(Metrics::new())))
}

/// A socket whose kernel buffers are as small as they get.
async fn over_tcp() -> (Arc<SocketOutbox>, TcpStream) {
    over_tcp_with(1).await
}

async fn over_tcp_with(kernel_bytes: usize) -> (Arc<SocketOutbox>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    socket2::SockRef::from(&server).set_send_buffer_size(kernel_bytes).unwrap();
    socket2::SockRef::from(&client).set_recv_buffer_size(kernel_bytes).unwrap();
    server.writable().await.unwrap();
    (outbox(Io::Tcp(server)), client)
}

fn over_duplex() -> (Arc<SocketOutbox>, DuplexStream) {
    let (server, client) = tokio::io::duplex(1024);
    (outbox(Io::foreign(server)), client)
}

/// Fills kernel and outbox until a frame of this class is not simply appended. Returns what was answered.
fn fill(outbox: &SocketOutbox) -> Push {
    loop {
        match outbox.push(&frame(Class::Entry, 1000)) {
            Push::Taken => {}
            other => return other,
        }
    }
}

/// A frame of `length` bytes, all of them the same letter.
fn frame(class: Class, length: usize) -> Frame {
    Frame::new(class, Bytes::from(vec![b'x'; length]), None)
}

/// Does what the connection's task does. Ends with the outbox; returns how often the session was told of room.
fn flusher(outbox: &Arc<SocketOutbox>) -> JoinHandle<usize> {
    let outbox = outbox.clone();
    tokio::spawn(async move {
        let mut drained = 0;
        loop {
            match poll_fn(|cx| outbox.poll_event(cx)).await {
                Event::Wrote { drained: true } => drained += 1,
                Event::Wrote { drained: false } => {}
                Event::Closing(_) => break,
                Event::Gone => return drained,
            }
        }
        poll_fn(|cx| outbox.poll_flush(cx)).await.unwrap();
        poll_fn(|cx| outbox.io().poll_shutdown(cx)).await.unwrap();
        drained
    })
}

async fn read_to_end(mut client: impl AsyncReadExt + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    timeout(SOON, client.read_to_end(&mut all)).await.unwrap().unwrap();
    all
}

#[tokio::test]
async fn a_frame_for_a_client_that_keeps_up_leaves_from_the_publishers_task() {
    let (outbox, mut client) = over_tcp().await;
    assert_eq!(outbox.push(&frame(Class::Entry, 5)), Push::Taken);
    assert_eq!(outbox.state.lock().buffer.capacity(), 0);
    let mut bytes = [0; 5];
    timeout(SOON, client.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(&bytes, b"xxxxx");
}

#[tokio::test]
async fn a_burst_leaves_in_one_write() {
    let (outbox, client) = over_tcp().await;
    for _ in 0..10 {
        outbox.push(&frame(Class::Entry, 5));
    }
    assert_eq!(outbox.state.lock().buffer.len(), 45);
    assert_eq!(poll_fn(|cx| outbox.poll_event(cx)).await, Event::Wrote { drained: false });
    assert_eq!(outbox.state.lock().buffer.capacity(), 0);
    drop(outbox);
    assert_eq!(read_to_end(client).await.len(), 50);
}

#[tokio::test]
async fn a_full_outbox_refuses_entries_drops_signals_and_takes_answers() {
    let (outbox, _client) = over_tcp().await;
    assert_eq!(fill(&outbox), Push::Full);
    let held = outbox.state.lock().buffer.len();
    assert!(held <= BUDGET && held > BUDGET - 1000);
    assert!(outbox.has_room());
    assert_eq!(outbox.push(&frame(Class::Signal, 10)), Push::Taken);
    assert_eq!(outbox.state.lock().buffer.len(), held);
    assert_eq!(outbox.push(&frame(Class::Answer, 2000)), Push::Taken);
    assert_eq!(outbox.state.lock().buffer.len(), held + 2000);
    assert!(!outbox.has_room());
}

#[tokio::test]
async fn an_outbox_at_twice_its_budget_is_closed_as_slow() {
    let (outbox, _client) = over_tcp().await;
    fill(&outbox);
    while outbox.push(&frame(Class::Answer, 1000)) == Push::Taken {
        assert!(outbox.state.lock().buffer.len() < 2 * BUDGET + 1000);
    }
    assert_eq!(poll_fn(|cx| outbox.poll_event(cx)).await, Event::Closing(CloseCode::Slow));
    assert_eq!(outbox.push(&frame(Class::Entry, 1)), Push::Gone);
}

#[tokio::test]
async fn the_session_hears_once_when_a_full_outbox_is_half_empty() {
    let (outbox, client) = over_tcp().await;
    fill(&outbox);
    fill(&outbox);
    let flusher = flusher(&outbox);
    let reader = tokio::spawn(read_to_end(client));
    timeout(SOON, async {
        while !outbox.state.lock().buffer.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    outbox.close(Close::new(CloseCode::Normal));
    assert_eq!(timeout(SOON, flusher).await.unwrap().unwrap(), 1);
    reader.await.unwrap();
}

#[tokio::test]
async fn an_entry_above_the_budget_is_taken_by_an_empty_outbox() {
    let (outbox, _client) = over_tcp().await;
    assert_eq!(outbox.push(&frame(Class::Entry, 10 * BUDGET)), Push::Taken);
    assert_eq!(outbox.push(&frame(Class::Entry, 1)), Push::Full);
}

#[tokio::test]
async fn the_close_frames_are_the_last_bytes() {
    let (outbox, client) = over_tcp().await;
    outbox.push(&frame(Class::Entry, 3));
    outbox.close(Close::new(CloseCode::Draining));
    outbox.close(Close::new(CloseCode::Internal));
    outbox.control(framing::PING);
    assert_eq!(outbox.push(&frame(Class::Answer, 3)), Push::Gone);
    flusher(&outbox).await.unwrap();
    let expected = [b"xxx".to_vec(), framing::closing(&Close::new(CloseCode::Draining))].concat();
    assert_eq!(read_to_end(client).await, expected);
}

#[tokio::test]
async fn a_client_that_went_away_is_gone() {
    let (outbox, client) = over_tcp().await;
    drop(client);
    timeout(SOON, async {
        while outbox.push(&frame(Class::Entry, 100)) != Push::Gone {
            let _ = futures::poll!(poll_fn(|cx| outbox.poll_event(cx)));
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(poll_fn(|cx| outbox.poll_event(cx)).await, Event::Gone);
}

/// Splits what a client read into runs of the same letter; frames of eight publishers have their own letters.
fn assert_frames_are_whole(bytes: &[u8]) {
    let end = bytes.iter().rposition(|byte| byte.is_ascii_lowercase() && *byte >= b'p').unwrap() + 1;
    let mut rest = &bytes[..end];
    while let [first, ..] = rest {
        let length = match first {
            0x89 => 2,
            letter => usize::from(letter - b'p') * 97 + 1,
        };
        let (frame, tail) = rest.split_at(length);
        assert!(frame == framing::PING || frame.iter().all(|byte| byte == first));
        rest = tail;
    }
}

async fn publish_from_many_tasks(outbox: Arc<SocketOutbox>, client: impl AsyncReadExt + Unpin + Send + 'static) {
    let reader = tokio::spawn(read_to_end(client));
    let flusher = flusher(&outbox);
    let publishers = (b'p'..=b'w').map(|letter| {
        let outbox = outbox.clone();
        tokio::spawn(async move {
            let frame = Frame::new(Class::Entry, vec![letter; usize::from(letter - b'p') * 97 + 1].into(), None);
            for _ in 0..500 {
                while outbox.push(&frame) == Push::Full {
                    sleep(Duration::from_millis(1)).await;
                }
                outbox.control(framing::PING);
                tokio::task::yield_now().await;
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        timeout(4 * SOON, publisher).await.unwrap().unwrap();
    }
    outbox.close(Close::new(CloseCode::Normal));
    timeout(SOON, flusher).await.unwrap().unwrap();
    let bytes = reader.await.unwrap();
    let end = framing::closing(&Close::new(CloseCode::Normal)).len();
    assert_frames_are_whole(&bytes[..bytes.len() - end]);
    assert_eq!(bytes.split(|byte| *byte == b'p').count() - 1, 500 + 1); // one is in "type" of the last frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_many_publishers_never_interleave() {
    let (outbox, client) = over_tcp_with(128 * 1024).await;
    publish_from_many_tasks(outbox, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_stream_is_served_alike() {
    let (outbox, client) = over_duplex();
    publish_from_many_tasks(outbox, client).await;
}
