//! A network of the run's own: each server in a namespace of its own, all of them on one bridge, and links that can be
//! broken.
//!
//! Everybody believes to be alone on one machine: what a node asks of a service's port on its loopback goes over the
//! bridge to where the service is, and arrives there from loopback again. So nobody has to be told that there is a
//! network, and no server that accepts only its own machine is opened to others.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{Failure, chance::Chance, service::is_alive};

/// Where namespaces that have a name are.
const NAMED: &str = "/run/netns";
/// What all of ours begin with; then comes the number of the process that made them.
const OURS: &str = "chat-check-";
/// What the bridge's name begins with; that of a device has 15 characters at most.
const BRIDGE: &str = "cc";
/// What the clients are called: they are on the bridge itself, with everything else of this machine.
pub(super) const CLIENTS: &str = "clients";

/// What a namespace begins with: from outside to its loopback, from its loopback to the services.
const HOME: &str = r#"
table ip home {
    map services { type inet_service : ipv4_addr; }
    chain came { type nat hook prerouting priority -100; iifname "eth0" meta l4proto tcp dnat to 127.0.0.1; }
    chain comes { type nat hook input priority 100; iifname "eth0" snat to 127.0.0.1; }
    chain goes { type nat hook output priority -100; oifname "lo" ip daddr 127.0.0.1 dnat to tcp dport map @services; }
    chain went { type nat hook postrouting priority 100; oifname "eth0" ip saddr 127.0.0.1 masquerade; }
}
table ip broken {
    chain comes { type filter hook input priority 0; }
    chain goes { type filter hook output priority 0; }
}
"#;

/// Is how a link is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing arrives, either way.
    Both,
    /// What the node says does not arrive.
    Out,
    /// What is said to the node does not arrive.
    In,
    /// Whoever says something is told that there is no such connection.
    Reset,
    /// A fifth of all packets is lost.
    Loss,
}

impl Way {
    pub(super) const ALL: [Self; 5] = [Self::Both, Self::Reset, Self::Out, Self::Loss, Self::In];

    /// Returns the kind of the fault, in the history.
    pub(super) fn fault(self) -> &'static str {
        match self {
            Self::Both => "cut-both",
            Self::Out => "cut-out",
            Self::In => "cut-in",
            Self::Reset => "cut-reset",
            Self::Loss => "cut-loss",
        }
    }

    /// Returns what becomes of packets to the other end, and of those from there.
    fn verdicts(self) -> [Option<&'static str>; 2] {
        let (drop, lose) = (Some("drop"), Some("numgen random mod 100 < 20 drop"));
        // The reset itself goes through.
        let reset = Some("tcp flags & rst == 0 reject with tcp reset");
        match self {
            Self::Both => [drop, drop],
            Self::Out => [drop, None],
            Self::In => [None, drop],
            Self::Reset => [reset, reset],
            Self::Loss => [lose, lose],
        }
    }
}

/// Is the network. Dropping it removes it, with whatever still runs in it.
#[derive(Debug)]
pub(super) struct Network {
    process: u32,
    /// In the order of their addresses.
    parts: Vec<String>,
}

impl Network {
    /// Makes a network with these parts. What runs of this program left behind that were killed is removed first.
    pub(super) fn of(parts: Vec<String>) -> Result<Self, Failure> {
        sweep()?;
        let network = Self { process: std::process::id(), parts };
        if ran(&["-o", "-4", "address"])?.contains(&format!(" {}/", network.gateway())) {
            return Err(format!("{} is taken; try again", network.gateway()).into());
        }
        let bridge = network.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["address", "add", &format!("{}/24", network.gateway()), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for at in 0..network.parts.len() {
            network.add(at)?;
        }
        Ok(network)
    }

    fn add(&self, at: usize) -> Result<(), Failure> {
        let part = &self.parts[at];
        let (inside, device) = (self.namespace(part), format!("{}-{at}", self.bridge()));
        ip(&["netns", "add", &inside])?;
        ip(&["link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &inside])?;
        ip(&["link", "set", &device, "master", &self.bridge(), "up"])?;
        let address = format!("{}/24", self.address(part)?);
        ip(&["-n", &inside, "address", "add", &address, "dev", "eth0"])?;
        ip(&["-n", &inside, "link", "set", "lo", "up"])?;
        ip(&["-n", &inside, "link", "set", "eth0", "up"])?;
        let allow = "for name in all eth0; do echo 1 >/proc/sys/net/ipv4/conf/$name/route_localnet; done";
        good(&self.inside(part, "sh").args(["-c", allow]).output()?)?;
        self.nft(part, HOME)
    }

    /// Tells all parts that a service listens on this port of its loopback.
    pub(super) fn publish(&self, service: &str, port: u16) -> Result<(), Failure> {
        let address = self.address(service)?;
        let others = self.parts.iter().filter(|part| *part != service);
        others
            .into_iter()
            .try_for_each(|part| self.nft(part, &format!("add element ip home services {{ {port} : {address} }}")))
    }

    /// Returns a program that is to run in a part.
    pub(super) fn inside(&self, part: &str, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={NAMED}/{}", self.namespace(part))).arg(program.as_ref());
        command
    }

    /// Returns where a part is reached that listens on its loopback.
    pub(super) fn outside(&self, part: &str, listens: SocketAddr) -> Result<SocketAddr, Failure> {
        Ok((self.address(part)?, listens.port()).into())
    }

    /// Returns whom a node talks to.
    pub(super) fn peers(&self, nodes: usize) -> Vec<String> {
        self.parts[nodes..].iter().cloned().chain([CLIENTS.to_owned()]).collect()
    }

    /// Breaks the link between a node and one of its peers.
    pub(super) fn cut(&self, node: &str, peer: &str, way: Way) -> Result<(), Failure> {
        let peer = if peer == CLIENTS { self.gateway() } else { self.address(peer)? };
        let [goes, comes] = way.verdicts();
        let goes = goes.map(|verdict| format!("add rule ip broken goes ip daddr {peer} {verdict}"));
        let comes = comes.map(|verdict| format!("add rule ip broken comes ip saddr {peer} {verdict}"));
        self.nft(node, &goes.into_iter().chain(comes).collect::<Vec<_>>().join("\n"))
    }

    /// Mends all links of a node.
    pub(super) fn heal(&self, node: &str) -> Result<(), Failure> {
        self.nft(node, "flush table ip broken")
    }

    fn nft(&self, part: &str, script: &str) -> Result<(), Failure> {
        let mut nft = self.inside(part, "nft");
        nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = nft.spawn()?;
        child.stdin.take().ok_or("nft has no input")?.write_all(script.as_bytes())?;
        good(&child.wait_with_output()?).map(drop)
    }

    fn bridge(&self) -> String {
        format!("{BRIDGE}{}", self.process)
    }

    fn namespace(&self, part: &str) -> String {
        format!("{OURS}{}-{part}", self.process)
    }

    /// Returns an address of the range that is meant for tests of networks.
    fn numbered(&self, host: u8) -> Ipv4Addr {
        let [.., low] = self.process.to_be_bytes();
        Ipv4Addr::new(198, 18, low, host)
    }

    fn gateway(&self) -> Ipv4Addr {
        self.numbered(254)
    }

    fn address(&self, part: &str) -> Result<Ipv4Addr, Failure> {
        let at = self.parts.iter().position(|known| known == part).ok_or_else(|| format!("{part} is nowhere"))?;
        Ok(self.numbered(u8::try_from(at + 1)?))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for part in &self.parts {
            let _ = remove(&self.namespace(part));
        }
        let _ = remove_devices(|process| process == self.process);
    }
}

/// Chooses what is broken when: every way of every link comes before the first comes again.
pub(super) struct Turns {
    peers: Vec<String>,
    next: usize,
}

impl Turns {
    pub(super) fn of(peers: Vec<String>, chance: &mut Chance) -> Self {
        let next = usize::try_from(chance.below(100)).unwrap_or_default();
        Self { peers, next }
    }

    pub(super) fn take(&mut self) -> (String, Way) {
        let turn = self.next;
        self.next += 1;
        // Another link each time, and another way too.
        let (peer, way) = (turn % self.peers.len(), turn / self.peers.len() + turn % self.peers.len());
        (self.peers[peer].clone(), Way::ALL[way % Way::ALL.len()])
    }
}

/// Removes what belongs to no process any more.
fn sweep() -> Result<(), Failure> {
    for name in names(NAMED) {
        if owner(&name, OURS).is_some_and(is_gone) {
            remove(&name)?;
        }
    }
    remove_devices(is_gone)
}

/// Removes bridges and the ends of links that are outside: a namespace lives on as long as a connection in it is being
/// closed, and its link with it.
fn remove_devices(of: impl Fn(u32) -> bool) -> Result<(), Failure> {
    names("/sys/class/net").iter().filter(|name| owner(name, BRIDGE).is_some_and(&of)).try_for_each(|name| {
        // Its other end may have ended it meanwhile.
        let is_there = || Path::new("/sys/class/net").join(name).exists();
        ip(&["link", "delete", name]).or_else(|error| if is_there() { Err(error) } else { Ok(()) })
    })
}

/// Returns the number of the process that has made what has this name.
fn owner(name: &str, begin: &str) -> Option<u32> {
    name.strip_prefix(begin)?.split('-').next()?.parse().ok()
}

/// Tells whether a process has ended; its number may belong to another program by now.
fn is_gone(process: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    !name.starts_with("chat-check") || !is_alive(process)
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Ends what runs in a namespace, and removes it.
fn remove(namespace: &str) -> Result<(), Failure> {
    let processes = ran(&["netns", "pids", namespace])?;
    if !processes.trim().is_empty() {
        Command::new("kill").arg("-KILL").args(processes.split_whitespace()).stderr(Stdio::null()).status()?;
    }
    ip(&["netns", "delete", namespace])
}

fn ip(args: &[&str]) -> Result<(), Failure> {
    ran(args).map(drop)
}

fn ran(args: &[&str]) -> Result<String, Failure> {
    let done = Command::new("ip").args(args).output();
    good(&done.map_err(|error| format!("ip: {error}; it is in Debian's iproute2"))?)
}

fn good(done: &Output) -> Result<String, Failure> {
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("no network of the run's own: {}", String::from_utf8_lossy(&done.stderr).trim()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_every_link_comes_before_the_first_comes_again() {
        for count in 1..=6 {
            let peers: Vec<_> = (0..count).map(|number| format!("peer{number}")).collect();
            let mut turns = Turns::of(peers, &mut Chance::of(count));
            let all = usize::try_from(count).unwrap_or_default() * Way::ALL.len();
            let mut taken: Vec<_> = (0..all).map(|_| turns.take()).map(|(peer, way)| (peer, way.fault())).collect();
            taken.sort();
            taken.dedup();
            assert_eq!(taken.len(), all, "of {count} peers");
        }
    }

    #[test]
    fn what_is_ours_says_by_its_name_whose_it_is() {
        assert_eq!(owner("chat-check-4711-node1", OURS), Some(4711));
        assert_eq!((owner("cc4711", BRIDGE), owner("cc4711-2", BRIDGE)), (Some(4711), Some(4711)));
        for others in ["ccnet", "cc-4711", "eth0", "cc"] {
            assert_eq!(owner(others, BRIDGE), None, "{others}");
        }
    }
}
