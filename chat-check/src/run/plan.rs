//! What is to be run, as the command line says it.

use std::path::PathBuf;

use clap::ValueEnum;

use super::slow::Slow;

/// Is a way to break things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// kill -9 of a node, and start it again.
    Kill,
    /// SIGSTOP of a node, and SIGCONT after a while.
    Pause,
    /// SIGTERM to a node, and start it again.
    Drain,
    /// kill -9 of the node with most of the --idle, who all come to the other nodes at once; in the first round it has all
    /// of them.
    Storm,
    /// Connections are cut after a node has said `ack` and before the client hears it; some drafts are sent by
    /// two clients at once, of which each is on a node of its own, if there are several.
    Cut,
    /// One client in ten stops reading, one in twenty reads at 64 kbit/s, and the others are compared with what they
    /// had before. It is done once, and takes as long as it takes.
    Slow,
    /// kill -9 of all processes of the database server at once, and start it again.
    StoreKill,
    /// SIGSTOP of all processes of the database server, and SIGCONT after up to eight seconds.
    StorePause,
    /// The database server's disk is full for a while.
    StoreFull,
    /// kill -9 of all processes of the --service at once, and start it again.
    ServiceKill,
    /// SIGSTOP of all processes of the --service, and SIGCONT after up to eight seconds.
    ServicePause,
    /// All nodes move from the --broker to the --bridge, one after the other, and the next time back.
    Move,
    /// The link between a node and one of the others, or its clients, is broken for some seconds, in one of five ways.
    /// Each server is in a network namespace of its own, which needs root.
    Partition,
    /// kill -9 of a node, whose people stay away for as long as --every says and come back to other nodes; then all
    /// come and go every three seconds. Watchers on every node say who they are told is online.
    Presence,
    /// Logins end, by logout, ban and a new password, of people who are connected to every node: with the broker, in
    /// the next round while it is dead, and with --split in the one after that while a node is cut off from it.
    Revoke,
    /// PostgreSQL's primary dies, and its synchronous standby takes over: nothing may be lost.
    Failover,
    /// PostgreSQL's primary dies, and a standby takes over that was not told of the last second.
    FailoverAsync,
    /// PostgreSQL is put back to a base backup that was made when the round began.
    Restore,
    /// kill -9 or SIGSTOP of whatever this run has started: a node, the store, the broker, presence. What was broken
    /// before may be away still, except for the nodes: one at a time.
    Everything,
    /// RabbitMQ's memory alarm and its disk alarm, in turn, for half a minute: it takes nothing from those who publish.
    BrokerBlocked,
    /// kill -9 of a stock bot, and every tenth time of the --queue; people ask the bots all the time.
    Bots,
    /// The clock of a node steps ten minutes ahead, ten minutes back, or to where it was, and goes on too fast by 2 %, too
    /// slowly by as much, or as it should. Meanwhile people come and go, and nodes die with them, as in `presence`. It
    /// needs libfaketime.
    Clocks,
    /// Something of everything that can be broken with this store and this --service, one after the other.
    Programme,
}

impl Scenario {
    /// Tells whether the scenario breaks the server on which the store is.
    pub(super) fn breaks_store(self) -> bool {
        matches!(self, Self::StoreKill | Self::StorePause | Self::StoreFull) || self.needs_postgres()
    }

    /// Tells whether the scenario breaks the --service, or the --queue if there is none.
    pub(super) fn breaks_service(self) -> bool {
        matches!(self, Self::ServiceKill | Self::ServicePause | Self::Bots)
    }

    /// Tells whether the scenario knows how to do this with PostgreSQL only.
    pub(super) fn needs_postgres(self) -> bool {
        matches!(self, Self::Failover | Self::FailoverAsync | Self::Restore)
    }
}

/// Says what to run. Each default is what two busy cores can do beside other work.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// What is broken
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// How many times; `slow` is done once
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// How long everything runs in peace before each time, on average, in ms
    #[arg(long, default_value_t = 800)]
    pub every: u64,
    /// Drafts a second, all publishers together
    #[arg(long, default_value_t = 100)]
    pub rate: u32,
    /// People, each with a client that sends and receives
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(4..=1_000))]
    pub users: u32,
    /// Rooms, each with half of the people in it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub rooms: u32,
    /// More connections, which only sit there, in processes of their own
    #[arg(long, default_value_t = 0)]
    pub idle: u32,
    /// Server processes on one store; clients begin with a random one, and go on to the next after each cut
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub nodes: u32,
    /// Where the logs are: `sqlite` for a file of this run, `postgres`, `mariadb` or `mongodb` for a server of this
    /// run's own, or the URL of one that is there already
    #[arg(long, default_value = "sqlite")]
    pub store: String,
    /// Another store for the messages alone: a URL that is passed on to the nodes, or `mongodb` for a server of this
    /// run's own, which is broken in turn with the --store
    #[arg(long)]
    pub messages: Option<String>,
    /// A broker between the nodes: a URL that is passed on to them, or `rabbitmq`, `redis` or `redis_cluster` (three
    /// nodes, broken together) for a server of this run's own; by default they find out from the store
    #[arg(long, required_if_eq("scenario", "move"))]
    pub broker: Option<String>,
    /// The broker that `move` leads to, in the same words
    #[arg(long, required_if_eq("scenario", "move"))]
    pub bridge: Option<String>,
    /// RabbitMQ tells a node only what its rooms need
    #[arg(long)]
    pub partitioned: bool,
    /// Where the nodes keep who is online: a URL, or `redis`
    #[arg(long)]
    pub presence: Option<String>,
    /// A queue of commands: a URL, `rabbitmq` or `redis`
    #[arg(long, required_if_eq("scenario", "bots"))]
    pub queue: Option<String>,
    /// Stock bots, in the scenario `bots`
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub bots: u32,
    /// Slash commands a second, in the scenario `bots`
    #[arg(long, default_value_t = 20)]
    pub commands: u32,
    /// Which of this run's own servers `service-kill` and `service-pause` break: `rabbitmq`, `redis`
    #[arg(long, required_if_eq_any([("scenario", "service-kill"), ("scenario", "service-pause")]))]
    pub service: Option<String>,
    /// The longest time for which `partition` breaks a link, in seconds; the shortest is 3 s
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(4..=300))]
    pub longest: u64,
    /// `presence` cuts a node off from where presence is kept, for --longest, instead of killing it; `revoke` does so
    /// from the broker in one round of three. Needs root
    #[arg(long)]
    pub split: bool,
    /// Decides what is broken when and who sends where
    #[arg(long)]
    pub seed: Option<u64>,
    /// The server to be broken; by default the one beside this program
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// The run is given up after so many seconds
    #[arg(long, default_value_t = 540)]
    pub at_most: u64,
}

impl Plan {
    /// Returns what is done one after the other, and how many times each.
    pub(super) fn steps(&self) -> Vec<(Scenario, u32)> {
        use Scenario::{Cut, Drain, Kill, Pause, Programme, ServiceKill, ServicePause, StoreKill, StorePause};
        if self.scenario != Programme {
            return vec![(self.scenario, self.rounds)];
        }
        let mut steps = vec![(Kill, 4), (Pause, 2), (Drain, 2), (Cut, 4)];
        if self.store != "sqlite" && !self.store.contains(':') {
            steps.extend([(StoreKill, 2), (StorePause, 1)]);
        }
        if self.service.is_some() {
            steps.extend([(ServiceKill, 1), (ServicePause, 1)]);
        }
        steps.repeat(self.rounds as usize)
    }

    /// Returns how many clients are slow.
    pub(super) fn slow(&self) -> Slow {
        let is_slow = u32::from(self.scenario == Scenario::Slow);
        let one_in = |count| is_slow as usize * (self.users as usize).div_ceil(count);
        Slow { stalled: one_in(10), narrow: one_in(20) }
    }
}
