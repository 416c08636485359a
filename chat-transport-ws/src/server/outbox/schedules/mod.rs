//! The outbox in every order that a scheduler finds.
//!
//! Those who push, the connection's task and a client that reads now and then run as tasks of shuttle. Each of them lets
//! others go on between its calls; the outbox does where it holds no lock: before it registers a waker, when it gives up
//! an old one, and before it wakes.
//! `SCHEDULES=100000` tries more orders than the 4,000 of each case here.
#![allow(clippy::unwrap_used)]

mod socket;
mod waker;
mod world;

use chat_core::{Class, Close, CloseCode, Outbox};
use shuttle::future::yield_now;

use self::world::{World, explore, join};
pub(crate) use self::{socket::Socket, waker::AtomicWaker};
use crate::framing;

#[test]
fn frames_of_many_tasks_leave_whole_and_in_order() {
    explore(many_tasks_push);
}

/// The case has teeth: it finds the connection's task asleep over bytes that it did not see, while the client waits
/// for them for ever.
#[test]
#[should_panic(expected = "exceeded max_steps")]
fn a_task_that_looks_before_it_registers_is_found_asleep() {
    explore(|world| many_tasks_push(world.looking_first()));
}

async fn many_tasks_push(world: World) {
    let connection = world.serves();
    let reader = world.reads();
    let answers = world.pushes(Class::Answer, b'a', 3);
    let entries = [world.pushes(Class::Entry, b'e', 3), world.pushes(Class::Entry, b'f', 3)];
    for _ in 0..2 {
        world.outbox.control(framing::PING);
        yield_now().await;
    }
    join(entries.into_iter().chain([answers])).await;
    world.outbox.close(Close::new(CloseCode::Normal));
    join([connection, reader]).await;
    world.check_all_taken_left(&framing::closing(&Close::new(CloseCode::Normal)));
}

#[test]
fn who_found_it_full_hears_once_that_there_is_room() {
    explore(|world| async move {
        world.fill();
        let connection = world.serves();
        let entries = [world.pushes(Class::Entry, b'e', 4), world.pushes(Class::Entry, b'f', 4)];
        // Each of them goes on only when it was told; one that is never told is a deadlock.
        let reader = world.reads();
        join(entries).await;
        world.outbox.close(Close::new(CloseCode::Normal));
        join([connection, reader]).await;
        world.check_all_taken_left(&framing::closing(&Close::new(CloseCode::Normal)));
    });
}

#[test]
fn the_close_frame_of_whoever_closes_first_is_the_last() {
    explore(|world| async move {
        let (connection, reader) = (world.serves(), world.reads());
        let pushes = [world.pushes(Class::Answer, b'a', 2), world.pushes(Class::Entry, b'e', 2)];
        let closes = [world.closes(CloseCode::Draining), world.closes(CloseCode::Revoked)];
        world.outbox.ping();
        join(closes.into_iter().chain(pushes).chain([connection, reader])).await;
        let last = world.closed_by().unwrap();
        world.check_all_taken_left(&framing::closing(&Close::new(last)));
    });
}

#[test]
fn what_was_taken_before_the_client_said_goodbye_leaves() {
    explore(|world| async move {
        let (connection, reader) = (world.serves(), world.reads());
        let pushes = [world.pushes(Class::Answer, b'a', 3), world.pushes(Class::Entry, b'e', 3)];
        yield_now().await;
        world.say_goodbye();
        join(pushes.into_iter().chain([connection, reader])).await;
        world.check_all_taken_left(&[]);
    });
}

#[test]
fn a_lost_connection_is_noticed_and_nothing_is_taken_from_then_on() {
    explore(|world| async move {
        let (connection, reader) = (world.serves(), world.reads());
        let pushes = [world.pushes(Class::Answer, b'a', 3), world.pushes(Class::Entry, b'e', 3)];
        yield_now().await;
        world.socket.lose();
        join(pushes).await;
        world.pushes(Class::Answer, b'l', 1).await.unwrap(); // what is not written is not noticed
        join([connection, reader]).await;
        world.check_is_gone();
        world.check_what_left_is_whole();
    });
}

#[test]
fn signals_give_way_before_anything_else() {
    explore(|world| async move {
        let (connection, reader) = (world.serves(), world.reads());
        let pushes = [world.pushes(Class::Signal, b's', 4), world.pushes(Class::Entry, b'e', 4)];
        join(pushes).await;
        world.outbox.close(Close::new(CloseCode::Normal));
        join([connection, reader]).await;
        world.check_all_taken_left(&framing::closing(&Close::new(CloseCode::Normal)));
    });
}
