//! Two people at two terminals, and a chat-server in a process of its own.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::{enter, press, screen};
use crate::{
    net::{Inbox, Net},
    rest::Rest,
    state::{State, Wish},
};

const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct horse";

struct Server {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", folder.path().join("chat.db").display());
        let mut child = Command::new(binary())
            .args(["--demo", "--listen", "127.0.0.1:0", "--admin", "off", "--store", &store])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = said.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap();
        Self { child, url, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the server's binary, which stands beside ours; it is built if it is not there yet.
fn binary() -> PathBuf {
    let ours = env::current_exe().unwrap();
    let binary = ours.ancestors().nth(2).unwrap().join(format!("chat-server{}", env::consts::EXE_SUFFIX));
    if !binary.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-q", "-p", "chat-server"]).status().unwrap();
        assert!(built.success() && binary.exists(), "chat-server cannot be built");
    }
    binary
}

/// Is one person's terminal without its screen and keyboard.
struct Person {
    state: State,
    net: Net,
    news: Inbox,
}

impl Person {
    async fn at(server: &Server, user: &str) -> Self {
        let rest = Rest::login(&server.url, user, PASSWORD, true).await.unwrap();
        let (net, news) = Net::connect(rest).await.unwrap();
        net.grant(Wish::List);
        Self { state: State::new(net.me()), net, news }
    }

    fn enters(&mut self, line: &str) {
        let wanted = enter(&mut self.state, line);
        self.grant(wanted);
    }

    fn grant(&self, wanted: Vec<Wish>) {
        for wish in wanted {
            self.net.grant(wish);
        }
    }

    /// Waits until the screen shows this.
    async fn sees(&mut self, text: &str) {
        self.until(text, |state| screen(state).contains(text)).await;
    }

    /// Waits until this room can be posted to.
    async fn opens(&mut self, title: &str) {
        self.until(title, |state| state.room().is_some_and(|room| room.is_open && room.title == title)).await;
    }

    async fn until(&mut self, what: &str, done: impl Fn(&State) -> bool) {
        let seen = async {
            while !done(&self.state) {
                let news = self.news.recv().await.unwrap();
                let wanted = self.state.hear(news, Instant::now());
                self.grant(wanted);
            }
        };
        let seen = timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "{what:?} is not to be seen:\n{}", screen(&self.state));
    }
}

#[tokio::test]
async fn two_people_chat() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Server::start();
    let mut ann = Person::at(&server, "ann").await;
    ann.enters(":new Lunch");
    ann.opens("Lunch").await;
    let mut bob = Person::at(&server, "bob").await;
    bob.enters(":join lunch");
    bob.opens("Lunch").await;
    bob.enters("hello");
    bob.sees("bob: hello").await;
    ann.sees("bob: hello").await;

    let wanted = press(&mut ann.state, crossterm::event::KeyCode::Char('h'));
    ann.grant(wanted);
    bob.sees("ann is typing…").await;
    ann.enters("i bob");
    bob.sees("ann: hi bob").await;

    bob.enters("/stock=aapl.us");
    ann.sees("AAPL.US quote is $93.42 per share").await;
    assert_eq!(ann.net.close().await, [""; 0]);

    let again = Rest::login(&server.url, "ann", "wrong horse", false).await;
    assert!(again.is_err(), "a wrong password opens nothing");
}
