//! What a user wants next.

use std::time::Duration;

use chat_core::{
    Body, Role, RoomId, Text, UserId,
    model::{Edit, MemberChange, Membership, React, RoomChange},
};
use serde_json::json;

use crate::{
    client::Client,
    plan::{Habits, id_of},
    unsent::To,
};

/// The longest time a client does not read.
const SLEEP_MAX: Duration = Duration::from_secs(4);

pub enum Act {
    Post(Vec<(RoomId, To, Body)>),
    Signal(String),
    /// Read nothing for a while.
    Sleep(Duration),
    /// Break the connection.
    Leave,
    Nothing,
}

impl Act {
    pub fn next(client: &Client) -> Self {
        let chance = &client.chance;
        let rooms: Vec<_> = client.world.plan.rooms.iter().map(id_of).collect();
        let followed: Vec<_> = rooms.iter().filter(|room| client.rooms.contains_key(room)).copied().collect();
        let wish = match client.world.plan.habits {
            Habits::Lively => chance.below(100),
            Habits::Quarrelsome => 48 + chance.below(52),
            Habits::Calm => 0,
        };
        match wish {
            0..50 => Self::texts(client, &followed),
            50..55 => Self::to_somebody(client),
            55..60 => Self::texts(client, &rooms), // perhaps not a member
            60..65 => Self::about_a_message(client),
            65..82 => Self::about_members(client, &rooms),
            82..85 => Self::Signal(signal(client, &followed)),
            85..92 => Self::Sleep(chance.time(SLEEP_MAX)),
            _ => Self::Leave,
        }
    }

    /// One to five texts at once: they keep their order.
    fn texts(client: &Client, rooms: &[RoomId]) -> Self {
        let chance = &client.chance;
        let Some(room) = chance.one_of(rooms) else { return Self::Nothing };
        let count = 1 + chance.below(5);
        Self::Post((0..count).map(|_| (*room, To::Room, text(client))).collect())
    }

    fn to_somebody(client: &Client) -> Self {
        let Some(user) = client.chance.one_of(&client.world.plan.users) else { return Self::Nothing };
        if *user == client.user {
            return Self::Nothing;
        }
        Self::Post(vec![(RoomId::direct(&client.user, user), To::User(user.clone()), text(client))])
    }

    fn about_a_message(client: &Client) -> Self {
        let chance = &client.chance;
        let Some((room, target, _)) = chance.one_of(&client.seen) else { return Self::Nothing };
        let target = *target;
        let body = match chance.below(3) {
            0 => Body::Edit(Edit { target, text: format!("edited {}", chance.below(1_000)) }),
            1 => Body::Delete(target),
            _ => Body::React(React { target, emoji: "+".into(), on: chance.percent(70) }),
        };
        Self::Post(vec![(*room, To::Room, body)])
    }

    /// Joins, leaves, removals, roles and topics; by the owner mostly, and by others who may not.
    fn about_members(client: &Client, rooms: &[RoomId]) -> Self {
        let (chance, users) = (&client.chance, &client.world.plan.users);
        let (Some(room), Some(other)) = (chance.one_of(rooms), chance.one_of(users)) else { return Self::Nothing };
        let is_owner = client.user == users[0];
        let body = match chance.below(10) {
            0..3 if is_owner => member(other, Membership::Join),
            0..3 => member(&client.user, Membership::Join),
            3..6 if is_owner && *other != client.user => member(other, Membership::Leave),
            3 if !is_owner => member(&client.user, Membership::Leave),
            4 | 5 => member(other, Membership::Leave),
            6 => member(other, Membership::Role(if chance.percent(50) { Role::Moderator } else { Role::Member })),
            7 => {
                let topic = Some(format!("topic {}", chance.below(100)).into());
                Body::Room(RoomChange::Set { title: None, topic, data: None })
            }
            // Out and in again, with something in between that comes too late.
            _ if is_owner && *other != client.user => {
                let bodies = [member(other, Membership::Leave), text(client), member(other, Membership::Join)];
                return Self::Post(bodies.into_iter().map(|body| (*room, To::Room, body)).collect());
            }
            _ => member(&client.user, Membership::Join),
        };
        if body == member(&users[0], Membership::Leave) {
            return Self::Nothing; // the owner stays, or the run is a quiet one
        }
        Self::Post(vec![(*room, To::Room, body)])
    }
}

fn text(client: &Client) -> Body {
    Body::Text(Text::new(format!("{} says {}", client.user, client.chance.draw() % 10_000)))
}

fn member(user: &UserId, change: Membership) -> Body {
    Body::Member(MemberChange { user: user.clone(), change })
}

fn signal(client: &Client, rooms: &[RoomId]) -> String {
    let Some(room) = client.chance.one_of(rooms) else { return json!({"type": "rooms"}).to_string() };
    match client.chance.below(3) {
        0 => json!({"type": "signal", "room": room, "signal": "typing", "on": true}).to_string(),
        1 => json!({"type": "signal", "room": room, "signal": "read", "seq": 1_000}).to_string(),
        _ => json!({"type": "members", "room": room}).to_string(),
    }
}
