//! WebSockets over real sockets pass the suite of transports.

#![allow(clippy::unwrap_used)]

mod common;

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    Engine, Identity, Peer, UserId,
    conformance::transport::{TransportUnderTest, Wire},
};
use chat_transport_ws::{Front, WsServer};
use common::{CLOSE, Raw, TEXT, frame, front_config, request, ws_config};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tokio::net::{TcpListener, TcpSocket};

/// Less than what the cases send, so that a client can be slow.
const KERNEL_BYTES: u32 = 64 * 1024;

chat_core::transport_conformance!(websocket, || async {
    TransportUnderTest::new(|engine: Engine| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ws = WsServer::new(engine, ws_config());
        let service =
            service_fn(move |request| std::future::ready(Ok::<_, std::convert::Infallible>(answer(&ws, request))));
        tokio::spawn(async move { Front::new(front_config()).serve(listener, service, std::future::pending()).await });
        move |name: &str| {
            let more = [("X-Name", name)];
            let request = request(&more);
            async move {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(KERNEL_BYTES).unwrap();
                let mut raw = Raw { stream: socket.connect(address).await.unwrap() };
                raw.send(&request).await;
                assert_eq!(raw.status().await, 101);
                Box::new(Socket(raw)) as Box<dyn Wire>
            }
        }
    })
});

/// Believes the header, as the application of a host believes its own login.
fn answer(ws: &WsServer, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let name: Arc<str> = request.headers()["x-name"].to_str().unwrap().into();
    let identity = Identity::human(UserId::new(&*name).unwrap(), &*name);
    ws.upgrade(&mut request, Peer::known(None::<IpAddr>, identity)).map(Full::new)
}

struct Socket(Raw);

#[async_trait]
impl Wire for Socket {
    async fn send(&mut self, text: &str) {
        self.0.send(&frame(TEXT, text.as_bytes())).await;
    }

    async fn receive(&mut self) -> Option<String> {
        loop {
            match self.0.frame().await? {
                (TEXT, json) => return Some(String::from_utf8(json).unwrap()),
                (CLOSE, _) => {
                    assert_eq!(self.0.frame().await, None, "the close frame is the last");
                    return None;
                }
                _ => {}
            }
        }
    }
}
