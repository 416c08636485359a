//! A quote service that answers whatever a case wants it to.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Is a service on a port of its own, for as long as the tests run. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, Script>,
    /// The codes that were asked for, and whatever else came.
    asked: Vec<String>,
}

/// Says how a code is answered: bytes, status line and all.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// These, and the end.
    Bytes(Vec<u8>),
    /// These, and then the others again and again, as long as they are taken.
    Endless(Vec<u8>, Vec<u8>),
    /// These, and then one of the others a second.
    Trickle(Vec<u8>, Vec<u8>),
    /// Nothing, and no end.
    Silence,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let serving = upstream.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let upstream = serving.clone();
                thread::spawn(move || upstream.answer(stream));
            }
        });
        upstream
    }

    /// Returns what the server is told to ask.
    pub(crate) fn template(&self) -> String {
        format!("http://{}/q?s={{code}}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Settles how a code is answered from now on; others are answered with a good quote.
    pub(crate) fn will(&self, code: &str, script: Script) {
        self.state.lock().unwrap().scripts.insert(code.to_owned(), script);
    }

    /// Returns what was asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    fn answer(&self, mut stream: TcpStream) {
        let code = read_code(&mut stream);
        let script = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(code.clone());
            state.scripts.get(&code).cloned()
        };
        // Whoever asks may have enough of it at any time: that is no failure.
        let _ = match script.unwrap_or_else(|| csv(&format!("Symbol,Close\r\n{code},93.42\r\n"))) {
            Script::Bytes(bytes) => stream.write_all(&bytes),
            Script::Endless(head, chunk) => {
                let mut done = stream.write_all(&head);
                while done.is_ok() {
                    done = stream.write_all(&chunk);
                }
                done
            }
            Script::Trickle(head, body) => stream.write_all(&head).and_then(|()| {
                body.iter().try_for_each(|byte| {
                    thread::sleep(Duration::from_secs(1));
                    stream.write_all(&[*byte])
                })
            }),
            Script::Silence => stream.read(&mut [0]).map(drop), // until the other side closes
        };
    }
}

/// Reads a request's head; returns the code in it, or the whole line if there is none.
fn read_code(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default();
    let code = line.strip_prefix("GET /q?s=").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    code.unwrap_or(line).to_owned()
}

/// Answers with status 200 and a body.
pub(crate) fn body(more: &str, body: impl AsRef<[u8]>) -> Script {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n", body.len());
    Script::Bytes([head.as_bytes(), body].concat())
}

pub(crate) fn csv(text: &str) -> Script {
    body("content-type: text/csv\r\n", text)
}
