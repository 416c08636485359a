//! One WebSocket: opening it, and telling why it could not be opened.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use chat_core::{Code, HubError, protocol};
use futures::{Sink, Stream, StreamExt};
use http::{HeaderName, HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        error::UrlError,
        handshake::client::Request,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{ClientConfig, frames::Farewell};

/// A full page of history takes a few megabytes at worst.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Is an open WebSocket.
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Says why there is no connection.
#[derive(Debug)]
pub(super) enum Broken {
    /// Worth another try, after this time at least.
    Lost { why: String, wait: Duration },
    /// No use.
    Ended(HubError),
}

impl Broken {
    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self::Lost { why: why.into(), wait: Duration::ZERO }
    }

    /// Judges how a server said goodbye. An authentication that ended can be made anew by whoever can get a token.
    pub(super) fn by(farewell: Farewell, has_tokens: bool) -> Self {
        use protocol::CloseCode as Ours;
        let Farewell { code, reason, reconnect, retry_after } = farewell;
        if reconnect || (has_tokens && code == Ours::Expired as u16) {
            return Self::Lost { why: format!("{code} {reason}"), wait: retry_after };
        }
        let authentication = [Ours::Unauthenticated, Ours::Expired, Ours::Revoked].map(|known| known as u16);
        let kind = if authentication.contains(&code) { Code::Unauthenticated } else { Code::Invalid };
        Self::Ended(HubError::new(kind, format!("the server closed the connection: {reason}")))
    }
}

/// Opens a WebSocket.
pub(super) async fn open(url: &str, config: &ClientConfig) -> Result<Socket, Broken> {
    let mut request = url.into_client_request().map_err(|error| judge(&error))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol::NAME));
    for (name, value) in &config.headers {
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(Broken::Ended(HubError::new(Code::Invalid, format!("{name} cannot be sent as a header"))));
        };
        value.set_sensitive(true);
        request.headers_mut().append(name, value);
    }
    connect(request).await
}

async fn connect(request: Request) -> Result<Socket, Broken> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    match connect_async_with_config(request, Some(limits), true).await {
        Ok((socket, _)) => Ok(Socket(socket)),
        Err(error) => Err(judge(&error)),
    }
}

/// Tells a configuration that can never work from a server that is away.
fn judge(error: &Error) -> Broken {
    match error {
        Error::Url(UrlError::TlsFeatureNotEnabled) => {
            Broken::Ended(HubError::new(Code::Invalid, "wss needs the feature client-tls"))
        }
        Error::Url(_) | Error::HttpFormat(_) => Broken::Ended(HubError::new(Code::Invalid, "this is no URL of a chat")),
        Error::Http(response) if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status()) => {
            Broken::Ended(Code::Unauthenticated.into())
        }
        other => Broken::lost(other.to_string()),
    }
}

/// Sends back what comes in until the server has said goodbye: what a test suite of WebSocket asks of a client. No
/// subprotocol is asked for, since such a suite knows none; all else is as in every connection.
#[cfg(feature = "echo")]
pub(super) async fn echo(url: &str) -> Result<(), Broken> {
    let mut socket = connect(url.into_client_request().map_err(|error| judge(&error))?).await?;
    let mut frames = VecDeque::new();
    while let Some(Ok(message)) = socket.exchange(&mut frames).await {
        if message.is_text() || message.is_binary() {
            frames.push_back(message);
        }
    }
    Ok(())
}

impl Socket {
    /// Reads the next message, and writes `frames` meanwhile. Cancel-safe: what is not written stays in the queue or
    /// in the socket's own buffer. A connection on which nothing can be written any more is read to its end, so that what
    /// has come does not have to come again; the end says why.
    pub(super) async fn exchange(&mut self, frames: &mut VecDeque<Message>) -> Option<Result<Message, Error>> {
        let mut written = false;
        poll_fn(|context| {
            if !written {
                match self.poll_write(frames, context) {
                    Poll::Ready(_) => written = true,
                    Poll::Pending => {} // reading goes on: the server may wait for that before it takes more
                }
            }
            Pin::new(&mut self.0).poll_next(context)
        })
        .await
    }

    fn poll_write(&mut self, frames: &mut VecDeque<Message>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            ready!(Pin::new(&mut self.0).poll_ready(context))?;
            match frames.pop_front() {
                Some(frame) => Pin::new(&mut self.0).start_send(frame)?,
                None => return Pin::new(&mut self.0).poll_flush(context),
            }
        }
    }

    /// Says goodbye, without waiting for long.
    pub(super) async fn close(&mut self) {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "goodbye".into() };
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            let _ = self.0.close(Some(goodbye)).await;
            while let Some(Ok(_)) = self.0.next().await {}
        })
        .await;
    }
}
