//! One connection, from `hello` to its end: what is heard, and what silence means.

use std::sync::atomic::Ordering;

use chat_core::{Code, Cursor, HubError, protocol::Request};
use futures::future::{BoxFuture, OptionFuture};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{Error, Message, protocol::frame::coding::CloseCode};

use super::{
    frames::{self, Farewell, Frame, Said, Welcome},
    link::Link,
    socket::{Broken, Socket},
};

/// Is what belongs to one connection.
struct Visit {
    /// The `ref` of `hello`, until it is answered.
    hello: Option<u64>,
    began: Instant,
    heard: Instant,
    /// When the server was pinged, if nothing was heard since.
    pinged: Option<Instant>,
    /// A new token is being fetched.
    refresh: OptionFuture<BoxFuture<'static, Result<String, HubError>>>,
    farewell: Option<Farewell>,
}

impl Link {
    /// Talks until the connection ends.
    pub(super) async fn converse(&mut self, socket: &mut Socket, token: Option<String>) -> Broken {
        self.out.frames.clear();
        let cursors = self.follows.begin(self.out.limits.rooms);
        let hello = Some(self.out.ask(&Request::Hello { token, cursors }));
        let refresh = OptionFuture::default();
        let began = Instant::now();
        let mut visit = Visit { hello, began, heard: began, pinged: None, refresh, farewell: None };
        loop {
            self.pump();
            let wake = self.wake_at(&visit);
            let done = tokio::select! {
                biased;
                order = self.orders.recv() => self.take(order),
                message = socket.exchange(&mut self.out.frames) => self.receive(&mut visit, message),
                Some(token) = &mut visit.refresh => {
                    visit.refresh = OptionFuture::default();
                    self.refresh(token);
                    Ok(())
                }
                () = sleep_until(wake) => self.wonder(&mut visit),
            };
            if let Err(broken) = done {
                return broken;
            }
        }
    }

    /// Asks for whatever may be asked now.
    fn pump(&mut self) {
        self.asked.expire();
        self.unsent.ask(&mut self.out);
        self.asked.ask(&mut self.out);
        self.follows.ask(&mut self.out);
        self.tell_typing();
        self.fade();
    }

    /// Returns when to look again although nothing has come.
    fn wake_at(&self, visit: &Visit) -> Instant {
        let welcome_due = visit.hello.map(|_| visit.began + self.config.answer_within);
        let dues = [self.unsent.due(), self.asked.due(), self.follows.due(), self.typing.due(), welcome_due];
        dues.into_iter().flatten().fold(self.silent_at(visit), Instant::min)
    }

    /// Returns when the silence has lasted too long.
    fn silent_at(&self, visit: &Visit) -> Instant {
        let lists = self.unsent.is_under_way() || self.asked.is_under_way() || self.follows.is_under_way();
        let due = visit.hello.is_some() || lists;
        match visit.pinged {
            Some(pinged) => pinged + self.config.silence_max,
            None if due => visit.heard + self.config.silence_max,
            None => visit.heard + self.config.idle_max,
        }
    }

    fn wonder(&mut self, visit: &mut Visit) -> Result<(), Broken> {
        let now = Instant::now();
        if visit.hello.is_some() && now >= visit.began + self.config.answer_within {
            return Err(Broken::lost("no welcome in time"));
        }
        if now < self.silent_at(visit) {
            return Ok(());
        }
        if visit.pinged.is_some() {
            return Err(Broken::lost("no sign of life"));
        }
        visit.pinged = Some(now);
        self.out.frames.push_back(Message::Ping(Vec::new().into()));
        Ok(())
    }

    fn receive(&mut self, visit: &mut Visit, message: Option<Result<Message, Error>>) -> Result<(), Broken> {
        (visit.heard, visit.pinged) = (Instant::now(), None);
        match message {
            Some(Ok(Message::Text(text))) => {
                let me = self.shared.me.get();
                let Some(frame) = frames::read(&text, me.map(|me| (&me.user, &me.name))) else {
                    tracing::debug!("a frame of an unknown shape is passed over");
                    return Ok(());
                };
                self.heard(visit, frame)
            }
            Some(Ok(Message::Close(close))) => {
                let code = close.as_ref().map_or(CloseCode::Status, |close| close.code);
                let reason = close.as_ref().map_or("", |close| close.reason.as_str());
                let farewell = visit.farewell.take().unwrap_or_else(|| Farewell::of_code(code.into(), reason));
                Err(Broken::by(farewell, self.config.token.is_some()))
            }
            Some(Ok(_)) => Ok(()),
            ended => Err(visit.farewell.take().map_or_else(
                || Broken::lost(ended.and_then(Result::err).map_or("cut".to_owned(), |error| error.to_string())),
                |farewell| Broken::by(farewell, self.config.token.is_some()),
            )),
        }
    }

    fn heard(&mut self, visit: &mut Visit, Frame { reference, said }: Frame) -> Result<(), Broken> {
        match said {
            Said::Welcome(welcome) => return self.welcomed(visit, reference, &welcome),
            Said::Expiring => {
                visit.refresh = self.config.token.as_ref().map(|provider| provider()).into();
            }
            Said::Answer(answer) => {
                reference.map(|reference| self.asked.answered(reference, Ok(answer)));
            }
            Said::Followed(cursor) => self.follows.followed(reference, cursor),
            Said::Unfollowed(room, why) => self.follows.unfollowed(&self.config, reference, room, why),
            Said::Ack { key, room, seq, id } => {
                self.follows.stored(Cursor::new(room, seq, Some(id)));
                self.unsent.stored(reference, key, room, seq, id);
            }
            Said::Accepted(key) => self.unsent.accepted(reference, key),
            // Of one's own, too: an entry does not answer its draft. If a second try is refused for now, the server
            // waits for a third one, and answers all later ones `behind`.
            Said::Entry(entry) => {
                if let Some(signal) = self.typing.sent(&entry) {
                    self.follows.signal(&signal);
                }
                self.follows.entry(&entry);
            }
            Said::Passed(cursor) => self.follows.unreadable(cursor),
            Said::Signal(signal) => {
                self.typing.heard(&signal, Instant::now());
                self.follows.signal(&signal);
            }
            Said::Gap { room, from, to, why } => self.follows.gap(room, from, to, why),
            Said::Reset(room) => self.follows.reset(room),
            Said::Error(error) => return self.refused(visit, reference, error),
            Said::Close(farewell) => visit.farewell = Some(farewell),
        }
        Ok(())
    }

    fn welcomed(&mut self, visit: &mut Visit, reference: Option<u64>, welcome: &Welcome) -> Result<(), Broken> {
        self.out.limits = welcome.limits;
        if !self.shared.welcome(welcome) {
            // What was written for one user must not be sent as another.
            return Err(Broken::Ended(HubError::new(Code::Unauthenticated, "another user is logged in")));
        }
        if visit.hello.is_none() || visit.hello != reference {
            return Ok(()); // the answer to `refresh`
        }
        visit.hello = None;
        self.set_online(true);
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Ok(()));
        }
        Ok(())
    }

    fn refused(&mut self, visit: &mut Visit, reference: Option<u64>, error: HubError) -> Result<(), Broken> {
        let Some(reference) = reference else {
            tracing::debug!(%error, "the server refused something");
            return Ok(());
        };
        if visit.hello == Some(reference) {
            // Too many connections is not for ever; the `close` that follows may say when to come again.
            let passing = error.code == Code::TooMany;
            return if passing { Ok(()) } else { Err(refusal(error)) };
        }
        let known = self.unsent.refused(reference, &error)
            || self.follows.refused(&self.config, reference, &error)
            || self.asked.answered(reference, Err(error.clone()));
        if !known {
            tracing::debug!(%error, "the server refused something");
        }
        Ok(())
    }

    fn refresh(&mut self, token: Result<String, HubError>) {
        match token {
            Ok(token) => {
                self.out.ask(&Request::Refresh { token });
            }
            // The connection ends when the old token does; the next one asks for a token again.
            Err(error) => tracing::warn!(%error, "no new token"),
        }
    }

    pub(super) fn set_online(&mut self, online: bool) {
        self.shared.online.store(online, Ordering::Release);
        if !online {
            self.typing.stop_all();
        }
        self.unsent.set_online(online);
        self.asked.set_online(online);
        self.follows.set_online(online);
    }
}

/// Says whether an error of a token provider or of `hello` is worth another try.
pub(super) fn refusal(error: HubError) -> Broken {
    if error.code.is_retryable() {
        Broken::Lost { why: error.to_string(), wait: error.retry_after.unwrap_or_default() }
    } else {
        Broken::Ended(error)
    }
}
