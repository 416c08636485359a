//! Who may do what: the default rules, and only people with an account are made members of rooms. (To write to somebody
//! is judged without a look at the accounts: who has no such name yet finds it later.)

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{
    Action, Body, Code, Draft, HubError, Identity, Members, Policy, RoomId, UserId,
    model::{Membership, RoomChange},
    store::Access,
};

use crate::accounts::Accounts;

/// Is the policy of this server.
pub(crate) struct Rules {
    pub(crate) accounts: Arc<Accounts>,
}

#[async_trait]
impl Policy for Rules {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        Members::default().authorize(who, action, access)
    }

    /// Finds those who are to become members: `Bob` is `bob`, and a slip of the finger is nobody.
    async fn screen(&self, who: &Identity, _: RoomId, draft: &mut Draft) -> Result<(), Code> {
        match &mut draft.body {
            Body::Member(change) if change.user != who.user && change.change == Membership::Join => {
                change.user = self.find(&change.user).await?;
            }
            Body::Room(RoomChange::Created(spec)) => {
                for user in &mut spec.members {
                    *user = self.find(user).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Rules {
    async fn find(&self, user: &UserId) -> Result<UserId, Code> {
        let found = self.accounts.find(user.as_str()).await.map_err(|error| HubError::from(error).code)?;
        found.and_then(|id| UserId::new(&*id).ok()).ok_or(Code::NotFound)
    }
}
