//! Who may do what: the default rules, and people make members of, and write to, only who has an account.

use std::{slice, sync::Arc};

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
                self.find(slice::from_mut(&mut change.user)).await?;
            }
            // Who has no account any more can still be taken out.
            Body::Member(change) if change.user != who.user => match self.find(slice::from_mut(&mut change.user)).await
            {
                Err(Code::NotFound) => {}
                found => found?,
            },
            Body::Room(RoomChange::Created(spec)) => {
                self.find(&mut spec.members).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Rules {
    /// Puts the ids of accounts in the place of names, with one look at the database: a room waits for it, and the engine
    /// lets an entry name 256 people.
    async fn find(&self, users: &mut [UserId]) -> Result<(), Code> {
        let names: Vec<_> = users.iter().map(UserId::as_str).collect();
        let found = self.accounts.find(&names).await.map_err(|error| HubError::from(error).code)?;
        for (user, id) in users.iter_mut().zip(found.ok_or(Code::NotFound)?) {
            *user = UserId::new(id).map_err(|_| Code::NotFound)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{net::Ipv4Addr, time::Duration};

    use chat_core::{RoomSpec, model::MemberChange};

    use super::*;
    use crate::accounts::Registration;

    #[tokio::test]
    async fn members_are_accounts_and_all_of_them_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/accounts.db", folder.path().display());
        let accounts = Arc::new(Accounts::open(&url, Duration::from_mins(1)).await.unwrap());
        for user in ["Ann", "Bob"] {
            let new = Registration { user, password: "correct horse", name: None };
            accounts.register(new, Ipv4Addr::LOCALHOST.into()).await.unwrap();
        }
        let (rules, ann) = (Rules { accounts }, Identity::human(UserId::new("ann").unwrap(), "Ann"));
        let created = |members: &[&str]| {
            let members = members.iter().map(|name| UserId::new(*name).unwrap());
            Body::Room(RoomChange::Created(RoomSpec::private("tea").members(members)))
        };
        let member = |name, change| Body::Member(MemberChange { user: UserId::new(name).unwrap(), change });
        let joined = |name| member(name, Membership::Join);
        let left = |name| member(name, Membership::Leave);
        for (body, screened) in [
            (created(&["Bob", "ANN"]), Ok(created(&["bob", "ann"]))),
            (created(&["bob", "eve"]), Err(Code::NotFound)),
            (created(&[]), Ok(created(&[]))),
            (joined("BOB"), Ok(joined("bob"))),
            (joined("eve"), Err(Code::NotFound)),
            (left("BOB"), Ok(left("bob"))),
            (left("eve"), Ok(left("eve"))),
        ] {
            let mut draft = Draft::new(body);
            let done = rules.screen(&ann, RoomId::named("tea"), &mut draft).await;
            assert_eq!(done.map(|()| draft.body), screened);
        }
    }
}
