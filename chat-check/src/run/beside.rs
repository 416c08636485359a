//! What the nodes share beside their store: a broker, presence, a queue. Each is a URL, or a server of this run's own.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use super::{
    Failure,
    network::Network,
    plan::Plan,
    service::{Service, open_folder},
};

/// Says over which broker a node speaks, when there are two.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    /// The one that all begin with.
    Old,
    /// Both: it is on its way.
    Bridge,
    /// The other one.
    New,
}

/// Is all of it. Dropping it ends what is this run's own.
#[derive(Debug, Default)]
pub(super) struct Beside {
    own: Vec<Arc<Service>>,
    /// What nodes are told, whichever broker they use.
    flags: Vec<String>,
    broker: Option<String>,
    bridge: Option<String>,
    network: Option<Arc<Network>>,
    queue: Option<String>,
}

/// Returns which servers of its own a plan asks for beside its store.
pub(super) fn own(plan: &Plan) -> BTreeSet<&str> {
    let asked = [&plan.broker, &plan.bridge, &plan.presence, &plan.queue, &plan.messages];
    asked.into_iter().flatten().map(String::as_str).filter(|asked| !asked.contains(':')).collect()
}

impl Beside {
    /// Starts what was asked for by name, each only once.
    pub(super) fn open(plan: &Plan, folder: &Path, network: Option<&Arc<Network>>) -> Result<Self, Failure> {
        let mut beside = Self { network: network.cloned(), ..Self::default() };
        let mut open = |asked: &Option<String>| asked.as_ref().map(|asked| beside.place(asked, folder)).transpose();
        let (mut broker, bridge) = (open(&plan.broker)?, open(&plan.bridge)?);
        if plan.partitioned {
            broker = broker.map(|url| url + "?partitioned=1");
        }
        let (presence, queue, messages) = (open(&plan.presence)?, open(&plan.queue)?, open(&plan.messages)?);
        let mut flags = Vec::new();
        for (flag, url) in [("--presence", &presence), ("--queue", &queue), ("--messages", &messages)] {
            flags.extend(url.iter().flat_map(|url| [flag.to_owned(), url.clone()]));
        }
        Ok(Self { flags, broker, bridge, queue, ..beside })
    }

    /// Returns the URL of what is one already, or of a server by this name.
    fn place(&mut self, asked: &str, folder: &Path) -> Result<String, Failure> {
        if asked.contains(':') {
            return Ok(asked.to_owned());
        }
        if let Some(service) = self.own.iter().find(|service| service.name == asked) {
            return service.url();
        }
        let place = folder.join("services");
        fs::create_dir_all(&place)?;
        open_folder(folder, &place)?;
        let service = Service::named(asked, place)?.placed(self.network.as_ref(), asked);
        service.start()?;
        service.publish()?;
        let url = service.url();
        self.own.push(Arc::new(service));
        url
    }

    /// Returns a server of this run's own.
    pub(super) fn service(&self, name: &str) -> Result<&Service, Failure> {
        let service = self.own.iter().find(|service| service.name == name);
        service
            .map(|service| &**service)
            .ok_or_else(|| format!("--service {name}: it is none of --broker, --bridge, --presence, --queue").into())
    }

    /// Returns the database of the messages alone, if there is one of this run's own.
    pub(super) fn messages(&self) -> Option<&Service> {
        self.own.iter().map(|service| &**service).find(|service| service.name == "mongo")
    }

    /// Returns the URL of the queue of commands.
    pub(super) fn queue(&self) -> Option<&str> {
        self.queue.as_deref()
    }

    /// Returns all servers of this run's own.
    pub(super) fn own(&self) -> &[Arc<Service>] {
        &self.own
    }

    /// Returns what nodes are told.
    pub(super) fn args(&self, over: Over) -> Vec<String> {
        let (broker, bridge) = match over {
            Over::Old => (&self.broker, &None),
            Over::Bridge => (&self.broker, &self.bridge),
            Over::New => (&self.bridge, &None),
        };
        let brokers = [("--broker", broker), ("--bridge", bridge)];
        let brokers = brokers.into_iter().filter_map(|(flag, url)| Some([flag.to_owned(), url.clone()?]));
        brokers.flatten().chain(self.flags.iter().cloned()).collect()
    }

    /// Makes the new broker the old one.
    pub(super) fn turn_round(&mut self) {
        std::mem::swap(&mut self.broker, &mut self.bridge);
    }
}
