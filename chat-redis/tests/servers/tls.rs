//! A Redis over TLS.

use std::{fs, path::Path, time::Duration};

use chat_core::{
    broker::BrokerErrorKind,
    conformance::run,
    queue::{Consume, Job, QueueName, WorkQueue},
};
use chat_redis::{RedisBroker, RedisQueue};
use futures::StreamExt;
use tokio::time::timeout;

use crate::{
    redis::{Redis, free_port},
    worker::Worker,
};

/// Starts a server that listens with TLS, too, and returns the URL of that.
fn start_with_tls(folder: &Path) -> (Redis, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("cert.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    let port = free_port();
    let tls = ["--tls-port", &port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key];
    let redis = Redis::start(&[&tls[..], &["--tls-auth-clients", "no"]].concat());
    (redis, format!("rediss://localhost:{port}"))
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_certificate_that_the_system_trusts_is_taken_and_no_other() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (redis, url) = start_with_tls(folder.path());
        let refused = RedisBroker::open(&url).await.unwrap_err();
        assert_eq!(refused.kind(), BrokerErrorKind::Unavailable, "{refused}");

        // A worker whose system trusts it does a job that came without TLS.
        let queue = RedisQueue::open(&redis.url()).await.unwrap();
        queue.push(&QueueName::new("jobs").unwrap(), Job::new("job")).await.unwrap();
        let _worker = Worker::start_trusting(&url, &folder.path().join("cert.pem"));
        let mut done = queue.consume(&QueueName::new("done").unwrap(), Consume::default()).await.unwrap();
        let job = timeout(Duration::from_secs(20), done.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(job.job, Job::new("job"));
    });
}
