//! Whatever this run has started breaks at random. Servers beside the nodes are mended while the next thing breaks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::{JoinSet, spawn_blocking},
    time::sleep,
};

use super::{Failure, faults::Breaker, recorder::Recorder, service::Service};

/// How long a node may need what is away at the moment before it starts: a RabbitMQ that was killed takes a minute on a
/// busy machine, and may be killed again.
const START_WITHIN: Duration = Duration::from_mins(4);
/// Whoever watches over a node starts it again after this time.
const START_AGAIN: Duration = Duration::from_millis(200);

/// Is what is broken and on its way to be whole again.
#[derive(Debug, Default)]
pub(super) struct Mending {
    tasks: JoinSet<Result<&'static str, Failure>>,
    broken: Vec<&'static str>,
}

impl Mending {
    /// Breaks a server: until it is whole again, it is not broken again.
    async fn breaks(&mut self, service: &Arc<Service>, how: How, recorder: Recorder) -> Result<(), Failure> {
        let (service, start) = (service.clone(), recorder.now());
        match how {
            How::Kill => service.kill().await?,
            How::Pause(_) => service.signal("STOP")?,
        }
        self.broken.push(service.name);
        self.tasks.spawn(async move {
            let name = service.name;
            let kind = match how {
                How::Kill => {
                    spawn_blocking(move || service.start()).await??;
                    "service-kill"
                }
                How::Pause(time) => {
                    sleep(time).await;
                    service.signal("CONT")?;
                    "service-pause"
                }
            };
            recorder.fault(kind, name, start);
            Ok(name)
        });
        Ok(())
    }

    /// Takes note of what is whole again.
    fn look(&mut self) -> Result<(), Failure> {
        while let Some(mended) = self.tasks.try_join_next() {
            let mended = mended??;
            self.broken.retain(|name| *name != mended);
        }
        Ok(())
    }

    /// Waits until everything is whole again.
    pub(super) async fn done(&mut self) -> Result<(), Failure> {
        while let Some(mended) = self.tasks.join_next().await {
            mended??;
        }
        self.broken.clear();
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum How {
    Kill,
    Pause(Duration),
}

impl Breaker<'_> {
    /// Kills or freezes one of the nodes and servers that are whole. Each is as likely as any other.
    pub(super) async fn break_anything(&mut self, start: u64) -> Result<(), Failure> {
        self.mending.look()?;
        let broken = &self.mending.broken;
        let services = self.store.own().into_iter().chain(self.beside.own());
        let whole: Vec<_> = services.filter(|service| !broken.contains(&service.name)).cloned().collect();
        let nodes = self.cluster.nodes.len();
        let which: usize = self.chance.below((nodes + whole.len()) as u64).try_into()?;
        let kills = self.chance.is_one_in(2);
        let pause = Duration::from_millis(self.chance.within(200..8_000));
        match which.checked_sub(nodes) {
            Some(service) => {
                let how = if kills { How::Kill } else { How::Pause(pause) };
                self.mending.breaks(&whole[service], how, self.recorder.clone()).await
            }
            None if kills => self.kill_patiently(start).await,
            None => self.pause(start).await,
        }
    }

    /// Kills a node, which may need what is away to start: then it is started again and again, as by those who watch over
    /// it.
    async fn kill_patiently(&mut self, start: u64) -> Result<(), Failure> {
        let (node, deadline) = (self.node()?, Instant::now() + START_WITHIN);
        self.cluster.nodes[node].kill()?;
        while let Err(error) = self.restart(node).await {
            if Instant::now() > deadline {
                return Err(error);
            }
            sleep(START_AGAIN).await;
        }
        self.recorder.fault("kill", &self.cluster.nodes[node].name, start);
        Ok(())
    }
}
