//! A WebSocket of somebody who is logged in.
#![allow(dead_code)] // no folder of tests needs all of it

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request, protocol::CloseFrame},
};

use crate::server::{PATIENCE, Site, key};

pub(crate) struct Socket<S = MaybeTlsStream<TcpStream>>(WebSocketStream<S>);

impl Socket {
    /// Connects and says hello.
    pub(crate) async fn open(server: &Site, token: &str) -> Self {
        let mut socket = Self::try_open(server, &[("authorization", &format!("Bearer {token}"))]).await.unwrap();
        socket.say(json!({ "type": "hello", "ref": 1 })).await;
        socket.hear("welcome").await;
        socket
    }

    /// Connects with these headers, or returns the status that refused it.
    pub(crate) async fn try_open(server: &Site, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        // Boxed: it is large, and so would be every future that waits for it.
        match Box::pin(connect_async(request(server, headers))).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Says hello over a connection that is made already.
    pub(crate) async fn over(stream: S, server: &Site, token: &str) -> Self {
        let request = request(server, &[("authorization", &format!("Bearer {token}"))]);
        let mut socket = Self(client_async(request, stream).await.unwrap().0);
        socket.say(json!({ "type": "hello", "ref": 1 })).await;
        socket.hear("welcome").await;
        socket
    }

    pub(crate) async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Posts a text to a room under a new key.
    pub(crate) async fn post(&mut self, room: &str, text: &str) {
        let body = json!({ "kind": "text", "text": text });
        self.say(json!({ "type": "send", "ref": 2, "room": room, "key": key(), "body": body })).await;
    }

    /// Returns the next frame of this type and forgets those before it.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.hear_any(kind).await;
            if frame["type"] == kind {
                return frame;
            }
            if frame["type"] == "error" {
                eprintln!("instead of {kind} came {frame}"); // shown if what is waited for never comes
            }
        }
    }

    /// Returns the next frame; `wanted` says what is waited for, should none come.
    pub(crate) async fn hear_any(&mut self, wanted: &str) -> Value {
        loop {
            match self.next(PATIENCE).await.unwrap_or_else(|| panic!("no {wanted}")) {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(why) => panic!("closed instead of {wanted}: {why:?}"),
                _ => {}
            }
        }
    }

    /// Waits until this room is received: what is posted from now on arrives.
    pub(crate) async fn hear_followed(&mut self, room: &str) {
        while self.hear("followed").await["room"] != *room {}
    }

    /// Returns the next entry that says something.
    pub(crate) async fn hear_text(&mut self) -> Value {
        loop {
            let entry = self.hear("entry").await;
            if entry["body"]["kind"] == "text" {
                return entry;
            }
        }
    }

    /// Returns the texts of all entries that come within this time.
    pub(crate) async fn texts_within(&mut self, time: Duration) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(message) = self.next(time).await {
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == "entry" && frame["body"]["kind"] == "text" {
                texts.push(frame["body"]["text"].as_str().unwrap().to_owned());
            }
        }
        texts
    }

    /// Returns all frames that come in this time, with when they came.
    pub(crate) async fn frames_within(&mut self, time: Duration) -> Vec<(Duration, Value)> {
        let (begun, mut frames) = (Instant::now(), Vec::new());
        while let Some(message) = self.next(time.saturating_sub(begun.elapsed())).await {
            if let Message::Text(text) = message {
                frames.push((begun.elapsed(), serde_json::from_str(&text).unwrap()));
            }
        }
        frames
    }

    /// Gives the connection away, for a test that sends and receives at the same time.
    pub(crate) fn into_inner(self) -> WebSocketStream<S> {
        self.0
    }

    /// Takes what comes, forgets it, and answers pings, until the connection ends; returns how.
    pub(crate) async fn listens(&mut self) -> String {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(why))) => return format!("{why:?}"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.to_string(),
                None => return "cut".into(),
            }
        }
    }

    /// Waits for the server to close, and returns how.
    pub(crate) async fn closed(mut self) -> Option<CloseFrame> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("still open") {
                Some(Ok(Message::Close(why))) => return why,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn next(&mut self, within: Duration) -> Option<Message> {
        timeout(within, self.0.next()).await.ok()?.map(Result::unwrap)
    }
}

fn request(server: &Site, headers: &[(&'static str, &str)]) -> Request {
    let url = format!("{}/chat/ws", server.url.replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat.v1.json".parse().unwrap());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}
