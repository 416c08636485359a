//! A store in which something was said.

#![allow(dead_code)] // each test binary uses some of it

use std::sync::Arc;

use chat_engine::{
    Body, Chat, Draft, Hub, Identity, Limits, Page, Role, Room, RoomId, RoomSpec, Seq, UserId,
    chat_core::{
        Store, Text,
        model::{Edit, MemberChange, Membership, React},
    },
};

/// Lets people talk in two rooms of a chat at this URL. What they do makes entries of every kind, and inboxes.
pub(crate) async fn talk(url: &str) {
    let store = chat_engine::open_store(url).await.unwrap();
    let chat = Chat::builder().store(store.clone()).limits(Limits::load_profile()).build().await.unwrap();
    let user = |name: &str| UserId::new(name).unwrap();
    let (ann, bob) = (chat.hub(Identity::human(user("ann"), "Ann")), chat.hub(Identity::human(user("bob"), "Bob")));
    let order = RoomSpec::private("Order").named("order:4711").members([user("ann"), user("bob")]);
    let order = chat.hub(Identity::system()).create(order).await.unwrap().id();
    let (order_of_ann, order_of_bob) = (ann.room(order).await.unwrap(), bob.room(order).await.unwrap());
    post(&order_of_ann, Body::Text(Text::new("where is my parcel?"))).await;
    post(&order_of_bob, Body::Text(Text::new("on its wya").reply_to(seq(2)))).await;
    post(&order_of_bob, Body::Edit(Edit { target: seq(3), text: "on its way".into() })).await;
    post(&order_of_ann, Body::React(React { target: seq(3), emoji: "👍".into(), on: true })).await;
    post(&order_of_ann, Body::Text(Text::new("a password"))).await;
    post(&order_of_ann, Body::Delete(seq(6))).await;
    store.mark(&user("ann"), order, seq(3)).await.unwrap();

    let tea = ann.create(RoomSpec::public("Tea")).await.unwrap();
    for number in 0..450 {
        post(&tea, Body::Text(Text::new(number.to_string()))).await;
    }
    let join = MemberChange { user: user("bob"), change: Membership::Join };
    post(&tea, Body::Member(join)).await;
    post(&tea, Body::Member(MemberChange { user: user("bob"), change: Membership::Role(Role::Moderator) })).await;
    store.trim(tea.id(), seq(100)).await.unwrap();
    chat.drain(std::time::Duration::from_secs(5)).await;
}

async fn post(room: &Arc<dyn Room>, body: Body) {
    room.post(Draft::new(body)).await.unwrap();
}

pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// Returns the texts of a room, oldest first.
pub(crate) async fn texts(store: &dyn Store, room: &str) -> Vec<String> {
    let messages = store.history(RoomId::named(room), &Page::newest(200)).await.unwrap();
    messages.iter().filter_map(|message| message.body.text().map(str::to_owned)).collect()
}
