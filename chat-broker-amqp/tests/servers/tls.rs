//! A RabbitMQ over TLS.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, process::Command};

use chat_broker_amqp::{AmqpBroker, AmqpQueue};
use chat_core::{
    broker::{Broker, BrokerErrorKind, Heard, Topic},
    conformance::run,
    model::NodeId,
    queue::{Consume, Job, QueueErrorKind, QueueName, Settlement, WorkQueue},
};
use futures::StreamExt;
use tokio::time::timeout;

use crate::{
    PATIENCE,
    common::{Place, erlang},
};

/// Tells the second process of the test where to connect to, since whom to trust is read from the environment once.
const PORT: &str = "CHAT_TEST_AMQPS_PORT";
const TEST: &str = "tls::a_certificate_that_the_system_trusts_is_taken_and_no_other";

/// Is a port of the test server with a certificate of its own, until this is dropped.
struct Listener(u16);

impl Listener {
    fn open(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        // The server runs as a user of its own.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (cert, key) = (file("cert.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        erlang(&format!(
            "{{ok, _}} = application:ensure_all_started(ssl), \
             ok = rabbit_networking:start_ssl_listener({{\"127.0.0.1\", {port}}}, \
             [{{certfile, \"{cert}\"}}, {{keyfile, \"{key}\"}}], 2)"
        ));
        Self(port)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        erlang(&format!("rabbit_networking:stop_tcp_listener({{\"127.0.0.1\", {}}})", self.0));
    }
}

#[test]
#[ignore = "needs RabbitMQ: scripts/test"]
fn a_certificate_that_the_system_trusts_is_taken_and_no_other() {
    if let Ok(port) = std::env::var(PORT) {
        return run(trusted(port));
    }
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::open(folder.path());
    run(refused(&format!("localhost:{}", listener.0), "UnknownIssuer"));
    let mut second = Command::new(std::env::current_exe().unwrap());
    second.args(["--exact", TEST, "--ignored", "--nocapture"]).env(PORT, listener.0.to_string());
    let second = second.env("SSL_CERT_FILE", folder.path().join("cert.pem")).output().unwrap();
    let said = String::from_utf8_lossy(&second.stdout);
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.success() && said.contains("1 passed"), "{said}{error}");
}

async fn trusted(port: String) {
    hint_and_job_arrive(&format!("localhost:{port}")).await;
    refused(&format!("127.0.0.1:{port}"), "not valid for name").await;
}

async fn refused(host: &str, why: &str) {
    let place = Place::make();
    let error = AmqpBroker::new(place.config_over_tls(host)).attach(NodeId::random([1; 16])).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Other, "{error}");
    assert!(error.to_string().contains(why), "{error}");
    let queue = AmqpQueue::new(place.config_over_tls(host));
    let Err(error) = queue.consume(&QueueName::new("jobs").unwrap(), Consume::default()).await else {
        panic!("it is not whom we mean");
    };
    assert_eq!(error.kind(), QueueErrorKind::Other, "{error}");
}

async fn hint_and_job_arrive(host: &str) {
    let (place, topic) = (Place::make(), Topic::new(7).unwrap());
    let broker = AmqpBroker::new(place.config_over_tls(host));
    let mut node = broker.attach(NodeId::random([2; 16])).await.unwrap();
    let other = broker.attach(NodeId::random([3; 16])).await.unwrap();
    node.link.listen(&[topic]).await.unwrap();
    other.link.publish(&[(topic, "hint".into())]).await.unwrap();
    let heard = timeout(PATIENCE, node.heard.next()).await.unwrap().unwrap();
    assert_eq!(heard, Heard::Payload { topic, bytes: "hint".into() });

    let (queue, name) = (AmqpQueue::new(place.config_over_tls(host)), QueueName::new("conformance.jobs").unwrap());
    let mut jobs = queue.consume(&name, Consume::default()).await.unwrap();
    queue.push(&name, Job::new("job")).await.unwrap();
    let job = timeout(PATIENCE, jobs.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(job.job, Job::new("job"));
    job.settle(Settlement::Done).await.unwrap();
}
