//! A server that breaks off, or says other things: what is between the driver and the real one.

use std::sync::{Arc, Mutex};

use mongodb::bson::Document;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
};

/// Is what becomes of a command.
pub(crate) enum Fate {
    /// The server gets it, and its answer comes.
    Pass,
    /// The server gets it, but the connection is cut before its answer comes.
    LoseAnswer,
    /// The same with only so many of the documents to insert: as if the server had died in the middle.
    BreakOffAfter(usize),
    /// Answered without asking the server.
    Answer(Document),
}

type Decide = Arc<Mutex<dyn FnMut(&Document) -> Fate + Send>>;

/// Serves on a port of this machine, which is returned. `decide` is shown each command without its documents.
pub(crate) async fn serve(server: String, decide: impl FnMut(&Document) -> Fate + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let decide: Decide = Arc::new(Mutex::new(decide));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server.strip_prefix("mongodb://").unwrap()).await.unwrap();
            tokio::spawn(connection(client, server, decide.clone()));
        }
    });
    port
}

async fn connection(client: TcpStream, server: TcpStream, decide: Decide) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    while let Some(message) = read(&mut from_client).await {
        let (command, sequence) = parts(&message);
        let fate = command.as_ref().map_or(Fate::Pass, |command| decide.lock().unwrap()(command));
        match fate {
            Fate::Pass => {
                to_server.write_all(&message).await.unwrap();
                // The monitor's answers come in a stream of their own; all others one by one.
                loop {
                    let Some(answer) = read(&mut from_server).await else { return };
                    if to_client.write_all(&answer).await.is_err() {
                        return;
                    }
                    if answer[16] & 2 == 0 {
                        break; // no more to come
                    }
                }
            }
            Fate::LoseAnswer => {
                to_server.write_all(&message).await.unwrap();
                read(&mut from_server).await;
                return;
            }
            Fate::BreakOffAfter(count) => {
                to_server.write_all(&cut(&message, sequence.expect("documents"), count)).await.unwrap();
                read(&mut from_server).await;
                return;
            }
            Fate::Answer(document) => {
                let body = document.to_vec().unwrap();
                let mut answer = Vec::new();
                answer.extend(u32::try_from(21 + body.len()).unwrap().to_le_bytes());
                answer.extend(0_u32.to_le_bytes());
                answer.extend(&message[4..8]); // in answer to
                answer.extend(2013_u32.to_le_bytes());
                answer.extend([0; 5]); // flags, and the kind of the one section
                answer.extend(body);
                to_client.write_all(&answer).await.unwrap();
            }
        }
    }
}

async fn read(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut message = vec![0; 4];
    from.read_exact(&mut message).await.ok()?;
    message.resize(number(&message, 0), 0);
    from.read_exact(&mut message[4..]).await.ok()?;
    Some(message)
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Returns the command of a message, and where its sequence of documents begins, if it has one.
fn parts(message: &[u8]) -> (Option<Document>, Option<usize>) {
    if number(message, 12) != 2013 {
        return (None, None); // the old first hello
    }
    let (mut at, mut command, mut sequence) = (20, None, None);
    while at < message.len() {
        let length = number(message, at + 1);
        if message[at] == 0 {
            command = Some(Document::from_reader(&message[at + 1..at + 1 + length]).unwrap());
        } else {
            sequence = Some(at);
        }
        at += 1 + length;
    }
    (command, sequence)
}

/// Leaves out the documents after the first ones.
fn cut(message: &[u8], sequence: usize, count: usize) -> Vec<u8> {
    let end = sequence + 1 + number(message, sequence + 1);
    let mut at = sequence + 5 + message[sequence + 5..].iter().position(|byte| *byte == 0).unwrap() + 1;
    for _ in 0..count {
        at += number(message, at);
    }
    let mut message = [&message[..at], &message[end..]].concat();
    let lengths = [(0, message.len()), (sequence + 1, at - sequence - 1)];
    for (place, length) in lengths {
        message[place..place + 4].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
    }
    message
}
