//! Flags, environment and file.

use std::process::Output;

use crate::server::{Server, binary, file, run};

fn complaint(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_names_every_option_its_default_and_its_variable() {
    let output = run(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for word in [
        "--listen",
        "--admin",
        "--store",
        "--accounts",
        "--tls-cert",
        "--tls-key",
        "--behind-proxy",
        "--allowed-origin",
        "--quote-url",
        "--quote-key-file",
        "--demo",
        "--log-format",
        "--log",
        "--drain-grace",
        "--session",
        "--secret-file",
        "--config",
        "CHAT_LISTEN",
        "CHAT_SECRET",
        "127.0.0.1:8080",
        "sqlite:chat.db",
        "SIGTERM",
    ] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
}

#[test]
fn nothing_that_others_can_reach_is_opened_without_tls_or_a_proxy() {
    for flags in [["--listen", "0.0.0.0:0"], ["--admin", "0.0.0.0:0"], ["--listen", "[::]:0"]] {
        let words = complaint(&run(&flags));
        assert!(words.contains("--tls-cert") && words.contains("--behind-proxy"), "{words}");
    }
    drop(Server::start(&["--behind-proxy"]));
}

#[test]
fn a_mistake_in_the_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (text, named) in
        [("lisen = '127.0.0.1:1'", "lisen"), ("drain-grace = '15'", "15s"), ("listen = 8080", "listen")]
    {
        let path = file(&folder, "chat.toml", text);
        let words = complaint(&run(&["--config", path.to_str().unwrap()]));
        assert!(words.contains(named) && words.contains("chat.toml"), "{words}");
    }
    let words = complaint(&run(&["--config", "/nowhere/chat.toml"]));
    assert!(words.contains("/nowhere/chat.toml"), "{words}");
}

/// The option that fails tells which place won: its text is in the complaint.
#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "chat.toml", "listen = '0.0.0.0:1001'");
    let start = |variable: Option<&str>, flag: &[&str]| {
        let mut command = binary();
        command.arg("--config").arg(&path).args(flag);
        variable.map(|value| command.env("CHAT_LISTEN", value));
        complaint(&command.output().unwrap())
    };
    assert!(start(None, &[]).contains("0.0.0.0:1001"));
    assert!(start(Some("0.0.0.0:1002"), &[]).contains("0.0.0.0:1002"));
    assert!(start(Some("0.0.0.0:1002"), &["--listen", "0.0.0.0:1003"]).contains("0.0.0.0:1003"));
}

#[test]
fn secrets_are_read_from_files_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let short = file(&folder, "secret", "hunter2\n");
    let words = complaint(&run(&["--secret-file", short.to_str().unwrap()]));
    assert!(words.contains("16 bytes") && !words.contains("hunter2"), "{words}");
    let flag = complaint(&run(&["--secret", "0123456789abcdef"]));
    assert!(flag.contains("unexpected argument"), "{flag}");
    let url =
        complaint(&run(&["--store", "postgres://chat:hunter2@127.0.0.1:1/chat", "--accounts", "sqlite::memory:"]));
    assert!(!url.contains("hunter2"), "{url}");
}

/// Runs the binary in a folder of its own, and returns its complaint and the files it left behind.
fn fails_in(folder: &tempfile::TempDir, flags: &[&str]) -> (String, Vec<String>) {
    let output = binary().args(["--listen", "127.0.0.1:0", "--admin", "off"]).args(flags).current_dir(folder).output();
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    (complaint(&output.unwrap()), files.collect())
}

#[test]
fn what_cannot_start_names_its_option_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, named) in [
        (&["--store", "sqlite:no/such/folder/chat.db"][..], "--store: sqlite:no/such/folder/chat.db"),
        (&["--store", "pigeon:coop"], "--store: no store is opened by `pigeon:`"),
        (&["--log", "chat_core=loud"], "--log: "),
        (&["--session", "400d"], "--session must"),
        (&["--quote-url", "ftp://quotes/{code}"], "--quote-url: "),
    ] {
        let (words, files) = fails_in(&folder, flags);
        assert!(words.contains(named) && !words.contains("--accounts"), "{flags:?}: {words}");
        assert_eq!(files, [""; 0], "{flags:?}");
    }
    let short = file(&folder, "secret", "hunter2");
    let (words, _) = fails_in(&folder, &["--secret-file", short.to_str().unwrap()]);
    assert!(words.contains("--secret-file") && words.contains("CHAT_SECRET"), "{words}");
}

#[test]
fn databases_are_readable_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let accounts = format!("sqlite:{}", folder.path().join("accounts.db").display());
    let server = Server::start_in(folder, &["--accounts", &accounts]);
    for entry in std::fs::read_dir(server.folder.path()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert!(!name.contains(".db") || mode == 0o600, "{name} {mode:o}");
    }
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let server = Server::start(&[]);
    let taken = server.url.strip_prefix("http://").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("chat.db").display());
    let words = complaint(&run(&["--listen", taken, "--admin", "off", "--store", &store]));
    assert!(words.contains(taken) && words.contains("--listen"), "{words}");
}
