//! The suite of [`Broker`].

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::time::timeout;

use super::{DEADLINE, next, silence, suite};
use crate::{
    broker::{Attached, Broker, Heard, Link, Topic},
    model::NodeId,
};

/// How many payloads of 1 KiB are published to a node that does not listen up: more than any adapter should hold.
const BURST: u32 = 8_192;

suite! {
    ($)
    /// Runs the suite of [`Broker`](crate::Broker): `broker_conformance!(name, factory)`, where the factory gives
    /// a [`BrokerUnderTest`](crate::conformance::broker::BrokerUnderTest).
    broker_conformance in broker:
    a_listener_hears_what_others_publish,
    listening_twice_hears_once,
    an_ignored_topic_is_silent,
    every_listener_hears,
    one_publishers_payloads_stay_in_order,
    a_listener_that_falls_behind_is_told,
    a_closed_link_ends_its_stream,
}

/// Is a broker to be tested, with what the cases must know of it.
#[derive(Clone)]
pub struct BrokerUnderTest {
    broker: Arc<dyn Broker>,
    quiet: Duration,
}

impl std::fmt::Debug for BrokerUnderTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerUnderTest").field("quiet", &self.quiet).finish_non_exhaustive()
    }
}

impl BrokerUnderTest {
    /// Names a broker that no other case uses.
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, quiet: Duration::from_millis(100) }
    }

    /// Sets after how long without a payload none will come any more. Default: 100 ms.
    #[must_use]
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    async fn node(&self, number: u8) -> Node {
        let Attached { link, heard } = self.broker.attach(NodeId::random([number; 16])).await.expect("attach a node");
        Node { link, heard }
    }
}

struct Node {
    link: Arc<dyn Link>,
    heard: BoxStream<'static, Heard>,
}

impl Node {
    async fn listen(&self, number: u16) {
        self.link.listen(&[topic(number)]).await.expect("listen");
    }

    async fn publish(&self, number: u16, text: &'static str) {
        self.link.publish(&[(topic(number), Bytes::from(text))]).await.expect("publish");
    }

    async fn hears(&mut self, number: u16, text: &'static str) {
        let expected = Heard::Payload { topic: topic(number), bytes: Bytes::from(text) };
        assert_eq!(next(&mut self.heard, text).await, expected);
    }
}

fn topic(number: u16) -> Topic {
    Topic::new(number).expect("a number below Topic::COUNT")
}

/// On this topic and on no other.
pub async fn a_listener_hears_what_others_publish(on: BrokerUnderTest) {
    let (speaker, mut listener) = (on.node(1).await, on.node(2).await);
    listener.listen(7).await;
    speaker.publish(8, "elsewhere").await;
    speaker.publish(7, "here").await;
    listener.hears(7, "here").await;
    silence(&mut listener.heard, on.quiet, "nobody listens to topic 8").await;
}

/// Also when the topic stands twice in one call.
pub async fn listening_twice_hears_once(on: BrokerUnderTest) {
    let (speaker, mut listener) = (on.node(1).await, on.node(2).await);
    listener.listen(7).await;
    listener.link.listen(&[topic(7), topic(7)]).await.expect("listen again");
    speaker.publish(7, "once").await;
    listener.hears(7, "once").await;
    silence(&mut listener.heard, on.quiet, "it was heard already").await;
}

/// And other topics are still heard.
pub async fn an_ignored_topic_is_silent(on: BrokerUnderTest) {
    let (speaker, mut listener) = (on.node(1).await, on.node(2).await);
    listener.link.listen(&[topic(7), topic(8)]).await.expect("listen");
    listener.link.ignore(&[topic(7)]).await.expect("ignore");
    speaker.publish(7, "ignored").await;
    speaker.publish(8, "kept").await;
    listener.hears(8, "kept").await;
    silence(&mut listener.heard, on.quiet, "topic 7 is ignored").await;
}

/// With as many nodes as there are.
pub async fn every_listener_hears(on: BrokerUnderTest) {
    let speaker = on.node(1).await;
    let mut listeners = Vec::new();
    for number in 2..6 {
        let listener = on.node(number).await;
        listener.listen(7).await;
        listeners.push(listener);
    }
    speaker.publish(7, "for all").await;
    for listener in &mut listeners {
        listener.hears(7, "for all").await;
    }
}

/// Within a batch and from batch to batch.
pub async fn one_publishers_payloads_stay_in_order(on: BrokerUnderTest) {
    let (speaker, mut listener) = (on.node(1).await, on.node(2).await);
    listener.listen(7).await;
    for batch in 0..20_u32 {
        let batch: Vec<_> = (0..10).map(|n| (topic(7), numbered(batch * 10 + n))).collect();
        speaker.link.publish(&batch).await.expect("publish");
    }
    for number in 0..200 {
        let expected = Heard::Payload { topic: topic(7), bytes: numbered(number) };
        assert_eq!(next(&mut listener.heard, "a payload").await, expected, "payload {number}");
    }
}

/// What does not fit is dropped, and the listener learns of it.
pub async fn a_listener_that_falls_behind_is_told(on: BrokerUnderTest) {
    let (speaker, mut listener) = (on.node(1).await, on.node(2).await);
    listener.listen(7).await;
    for start in (0..BURST).step_by(256) {
        let batch: Vec<_> = (start..start + 256).map(|number| (topic(7), numbered(number))).collect();
        // A publisher may be held back or refused meanwhile; hints are not worth waiting for.
        let _ = timeout(DEADLINE, speaker.link.publish(&batch)).await;
    }
    for number in 0..BURST {
        match next(&mut listener.heard, "the rest of the burst, or word of its loss").await {
            Heard::Interrupted => return,
            heard => assert_eq!(heard, Heard::Payload { topic: topic(7), bytes: numbered(number) }, "a silent loss"),
        }
    }
}

/// While others go on.
pub async fn a_closed_link_ends_its_stream(on: BrokerUnderTest) {
    use futures::StreamExt;

    let (speaker, mut leaver, mut stayer) = (on.node(1).await, on.node(2).await, on.node(3).await);
    leaver.listen(7).await;
    stayer.listen(7).await;
    leaver.link.close().await;
    let ended = timeout(DEADLINE, async { while leaver.heard.next().await.is_some() {} }).await;
    assert!(ended.is_ok(), "the stream of a closed link goes on");
    speaker.publish(7, "afterwards").await;
    stayer.hears(7, "afterwards").await;
}

fn numbered(number: u32) -> Bytes {
    let mut bytes = vec![0; 1024];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}
