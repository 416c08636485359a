//! Questions that wait for their answer: lists and history. Asking twice does no harm, so a broken connection only
//! means that they are asked again on the next one, as long as their time lasts.

use chat_core::{Code, HubError, protocol::Request};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use super::{frames::Answer, outgoing::Outgoing};

/// Questions under way at once; a server reads on after 64.
const UNDER_WAY: usize = 32;

#[derive(Default)]
pub(super) struct Asked {
    questions: Vec<Question>,
    online: bool,
}

struct Question {
    request: Request,
    reference: Option<u64>,
    deadline: Instant,
    answer: oneshot::Sender<Result<Answer, HubError>>,
}

impl Asked {
    pub(super) fn add(
        &mut self,
        request: Request,
        within: Duration,
        questions_max: usize,
        answer: oneshot::Sender<Result<Answer, HubError>>,
    ) {
        self.questions.retain(|question| !question.answer.is_closed());
        if self.questions.len() >= questions_max {
            let _ = answer.send(Err(Code::TooMany.into()));
            return;
        }
        self.questions.push(Question { request, reference: None, deadline: Instant::now() + within, answer });
    }

    pub(super) fn set_online(&mut self, online: bool) {
        self.online = online;
        self.questions.iter_mut().for_each(|question| question.reference = None);
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.questions.iter().any(|question| question.reference.is_some())
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.questions.iter().map(|question| question.deadline).min()
    }

    /// Gives up what is overdue.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        for late in self.questions.extract_if(.., |question| question.deadline <= now) {
            let _ = late.answer.send(Err(HubError::new(Code::Retry, "the server did not answer in time")));
        }
    }

    pub(super) fn ask(&mut self, out: &mut Outgoing) {
        if self.online {
            let new = self.questions.iter_mut().take(UNDER_WAY).filter(|question| question.reference.is_none());
            new.for_each(|question| question.reference = Some(out.ask(&question.request)));
        }
    }

    /// Hands an answer on. Returns whether somebody had asked.
    pub(super) fn answered(&mut self, reference: u64, answer: Result<Answer, HubError>) -> bool {
        let Some(at) = self.questions.iter().position(|question| question.reference == Some(reference)) else {
            return false;
        };
        let _ = self.questions.remove(at).answer.send(answer);
        true
    }

    pub(super) fn end(&mut self, why: &HubError) {
        for question in self.questions.drain(..) {
            let _ = question.answer.send(Err(why.clone()));
        }
    }
}
