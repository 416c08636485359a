//! Starts the binary and talks to it: for all tests that see the server from outside.
#![allow(dead_code)] // no folder of tests needs all of it

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::IpAddr,
    ops::Deref,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, RequestBuilder, StatusCode, header::HeaderMap, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything here may take on a slow machine before it counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "correct horse";

/// Is a running server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    site: Site,
    pub(crate) folder: TempDir,
    flags: Vec<String>,
}

/// Is where a server is, as one client sees it.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) admin: String,
    client: Client,
}

/// Is an answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Returns the number and the name of an error.
    pub(crate) fn error(&self) -> (u16, u64, String) {
        let error = &self.json();
        assert!(
            error["type"] == "error" && error["message"].is_string() && error["retryable"].is_boolean(),
            "{self:?}"
        );
        (self.status.as_u16(), error["code"].as_u64().unwrap(), error["name"].as_str().unwrap().to_owned())
    }
}

/// Makes the key of something new.
pub(crate) fn key() -> String {
    chat_core::Key::generate().to_string()
}

/// Returns the binary with no option from the surroundings.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHAT_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the binary until it ends by itself.
pub(crate) fn run(flags: &[&str]) -> Output {
    binary().args(flags).output().unwrap()
}

pub(crate) fn client() -> Client {
    client_at(None)
}

fn client_at(address: Option<IpAddr>) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().tls_certs_only([]);
    client.local_address(address).build().unwrap()
}

impl Server {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), flags)
    }

    pub(crate) fn start_in(folder: TempDir, flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let (child, url, admin) = spawn(&folder, &flags);
        Self { child, site: Site { url, admin, client: client() }, folder, flags }
    }

    /// Kills the process as a power cut would, and starts another one on the same files.
    pub(crate) fn crash_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.site.url, self.site.admin) = spawn(&self.folder, &self.flags);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns everything logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Site {
    /// Returns the same server for a client at another address of this machine: limits per address count anew.
    pub(crate) fn seen_from(&self, address: IpAddr) -> Self {
        Self { client: client_at(Some(address)), ..self.clone() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(with_json(self.request(Method::POST, path), &body)).await
    }

    pub(crate) async fn operator(&self, path: &str) -> Answer {
        send(self.operate(Method::GET, path)).await
    }

    /// A request to the operators' listener.
    pub(crate) fn operate(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin))
    }

    pub(crate) async fn register(&self, user: &str) -> Answer {
        self.post("/api/register", json!({ "user": user, "password": PASSWORD })).await
    }

    pub(crate) async fn login(&self, user: &str) -> Answer {
        self.post("/api/login", json!({ "user": user, "password": PASSWORD })).await
    }

    /// Registers and logs in; returns the token.
    pub(crate) async fn token_of_new(&self, user: &str) -> String {
        assert_eq!(self.register(user).await.status, StatusCode::CREATED);
        self.login(user).await.json()["token"].as_str().unwrap().to_owned()
    }

    /// Makes a public room and returns its id.
    pub(crate) async fn create_room(&self, token: &str, title: &str) -> String {
        let spec = json!({ "title": title, "visibility": "public" });
        let room = self.post_as(token, "/chat/rooms", json!({ "key": key(), "spec": spec })).await;
        assert_eq!(room.status, StatusCode::CREATED, "{room:?}");
        room.json()["room"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn join(&self, token: &str, room: &str) {
        let joined = self.post_as(token, &format!("/chat/rooms/{room}/join"), json!({ "key": key() })).await;
        assert_eq!(joined.status, StatusCode::CREATED, "{joined:?}");
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        send(self.request(Method::GET, path).bearer_auth(token)).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: Value) -> Answer {
        send(with_json(self.request(Method::POST, path).bearer_auth(token), &body)).await
    }
}

impl Deref for Server {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

pub(crate) fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.timeout(PATIENCE).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// Starts the binary on free ports and reads where it listens.
fn spawn(folder: &TempDir, flags: &[String]) -> (Child, String, String) {
    let file = format!("sqlite:{}", folder.path().join("chat.db").display());
    let store = if flags.iter().any(|flag| flag == "--store") { vec![] } else { vec!["--store", &file] };
    let log = File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
    let mut child = binary()
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(store)
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let (mut url, mut admin) = (None, String::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(rest) = line.trim().strip_prefix("admin on") {
            rest.split_whitespace().next().unwrap().clone_into(&mut admin);
        }
        if let Some(found) = line.strip_prefix("listening on ") {
            url = Some(found.to_owned());
            break;
        }
    }
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    (child, url.unwrap_or_else(|| panic!("it did not start:\n{}", log())), admin)
}

/// Writes a file into the folder and returns its path.
pub(crate) fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}
