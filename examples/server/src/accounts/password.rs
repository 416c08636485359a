//! Passwords: which are accepted, and how they are kept.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, task, time};
use unicode_normalization::UnicodeNormalization;

use crate::config::Secret;

/// Two cores' worth: 16 at once would take 304 MiB.
const HASHES_AT_ONCE: usize = 2;
/// Who comes behind this many is told to come again; they would wait longer than a person does.
const WAITING_MAX: usize = 32;
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The 3,000 most common passwords of eight characters and more, as ranked by zxcvbn 4.4.2 (MIT licence, © Dan Wheeler
/// and Dropbox), and some that its list lacks.
const COMMON: &str = include_str!("common.txt");

/// Says what is wrong with a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("a password has 8 to 1024 characters")]
    Length,
    #[error("this password is one of the first that a stranger would try")]
    Common,
}

/// Brings a password into the one form it is hashed in: keyboards differ in how they write `é`.
pub(crate) fn normal(typed: &str) -> Secret {
    Secret::new(&typed.nfkc().collect::<String>())
}

/// Checks a new password.
pub(crate) fn check(password: &Secret, user: &str) -> Result<(), PasswordError> {
    let text = password.reveal();
    if !(8..=1_024).contains(&text.chars().count()) {
        return Err(PasswordError::Length);
    }
    let lower = text.to_lowercase();
    let known = lower == user || COMMON.lines().any(|common| common == lower);
    if known { Err(PasswordError::Common) } else { Ok(()) }
}

/// Too many passwords are being hashed: come again in a moment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    #[error("too many passwords are being checked")]
    Busy,
    #[error("the password could not be hashed")]
    Failed,
}

/// Is the outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, but the hash was made with other parameters than today's.
    Outdated,
}

/// What one hash is made in. It is used again: allocators that get 19 MiB back among what is smaller may not find them
/// again, and the process grows by hundreds of MiB.
type Memory = Vec<Block>;

/// Hashes with Argon2id, 19 MiB, two passes, one lane, a few at a time and off the async threads.
pub(crate) struct Hasher {
    line: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    /// One for each hash that was made at once.
    memory: Arc<Mutex<Vec<Memory>>>,
    /// Stands in for the hash of a user that does not exist, so that the answer takes as long.
    nobody: String,
}

impl Hasher {
    pub(crate) fn new() -> Result<Self, HashError> {
        let mut memory = Memory::new();
        let nobody = hash("nobody has this password", &mut memory)?;
        let line = Arc::new(Semaphore::new(HASHES_AT_ONCE + WAITING_MAX));
        let slots = Arc::new(Semaphore::new(HASHES_AT_ONCE));
        Ok(Self { line, slots, memory: Arc::new(Mutex::new(vec![memory])), nobody })
    }

    pub(crate) async fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let password = password.clone();
        self.run(move |memory| hash(password.reveal(), memory)).await?
    }

    /// Compares a password with a stored hash; without one the answer is wrong and takes as long.
    pub(crate) async fn verify(&self, password: &Secret, stored: Option<String>) -> Result<Verdict, HashError> {
        let exists = stored.is_some();
        let (password, stored) = (password.clone(), stored.unwrap_or_else(|| self.nobody.clone()));
        let verdict = self.run(move |memory| verify(password.reveal(), &stored, memory)).await??;
        Ok(if exists { verdict } else { Verdict::Wrong })
    }

    /// Runs in a slot. The slot is kept until the work is done, also when the caller has gone.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let place = self.line.clone().try_acquire_owned().map_err(|_| HashError::Busy)?;
        let slot = time::timeout(WAIT_MAX, self.slots.clone().acquire_owned()).await;
        let slot = slot.map_err(|_| HashError::Busy)?.map_err(|_| HashError::Failed)?;
        metrics::counter!("chat_password_hashes_total").increment(1);
        let spare = self.memory.clone();
        let job = task::spawn_blocking(move || {
            let mut memory = spare.lock().pop().unwrap_or_default();
            let done = work(&mut memory);
            spare.lock().push(memory);
            drop((slot, place));
            done
        });
        job.await.map_err(|_| HashError::Failed)
    }
}

fn hash(password: &str, memory: &mut Memory) -> Result<String, HashError> {
    let (argon2, salt) = (Argon2::default(), Salt::generate());
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(argon2.params()).map_err(|_| HashError::Failed)?,
        hash: Some(output(&argon2, password, &salt, memory)?),
        salt: Some(salt),
    };
    Ok(hash.to_string())
}

fn verify(password: &str, stored: &str, memory: &mut Memory) -> Result<Verdict, HashError> {
    let stored = PasswordHash::new(stored).map_err(|_| HashError::Failed)?;
    let (Ok(used), Ok(algorithm), Ok(version), Some((salt, expected))) = (
        Params::try_from(&stored),
        Algorithm::try_from(stored.algorithm.as_str()),
        stored.version.map_or(Ok(Version::default()), Version::try_from),
        stored.salt.zip(stored.hash),
    ) else {
        return Ok(Verdict::Wrong); // no password gives this
    };
    let argon2 = Argon2::new(algorithm, version, used.clone());
    if output(&argon2, password, &salt, memory)? != expected {
        return Ok(Verdict::Wrong); // outputs are compared in constant time
    }
    let today = Params::default();
    let same = algorithm == Algorithm::default()
        && (used.m_cost(), used.t_cost(), used.p_cost()) == (today.m_cost(), today.t_cost(), today.p_cost());
    Ok(if same { Verdict::Right } else { Verdict::Outdated })
}

/// Does what `Argon2` does by itself, but in memory of ours. A stored hash that needs more gets its own.
fn output(argon2: &Argon2<'_>, password: &str, salt: &[u8], memory: &mut Memory) -> Result<Output, HashError> {
    let (usual, blocks) = (Params::default().block_count(), argon2.params().block_count());
    let mut out = vec![0; argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    let hashed = if blocks > usual {
        argon2.hash_password_into(password.as_bytes(), salt, &mut out)
    } else {
        memory.resize(usual, Block::new());
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut out, &mut memory[..blocks])
    };
    hashed.map_err(|_| HashError::Failed)?;
    Output::new(&out).map_err(|_| HashError::Failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;

    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn a_hash_costs_at_least_19_mib_and_two_passes() {
        let mut memory = Memory::new();
        let hash = hash("correct horse", &mut memory).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(memory.len() * Block::SIZE, 19 * 1024 * 1024);
        assert_eq!(verify("correct horse", &hash, &mut memory).unwrap(), Verdict::Right);
        assert_eq!(verify("correct house", &hash, &mut memory).unwrap(), Verdict::Wrong);
    }

    #[test]
    fn a_hash_in_memory_that_was_used_is_that_of_the_library() {
        let mut memory = Memory::new();
        for password in ["correct horse", "correct house"] {
            let ours = hash(password, &mut memory).unwrap();
            assert!(Argon2::default().verify_password(password.as_bytes(), &*ours).is_ok());
            let theirs: PasswordHash = Argon2::default().hash_password(password.as_bytes()).unwrap();
            assert_eq!(verify(password, &theirs.to_string(), &mut memory).unwrap(), Verdict::Right);
        }
    }

    #[test]
    fn a_hash_with_other_parameters_is_outdated() {
        let mut memory = Memory::new();
        for mib in [8, 32] {
            let params = Params::new(mib * 1_024, 1, 1, None).unwrap();
            let other = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash: PasswordHash = other.hash_password(b"correct horse").unwrap();
            assert_eq!(verify("correct horse", &hash.to_string(), &mut memory).unwrap(), Verdict::Outdated);
            assert_eq!(verify("correct house", &hash.to_string(), &mut memory).unwrap(), Verdict::Wrong);
            assert_eq!(memory.len(), Params::default().block_count(), "what is kept is what is usual");
        }
    }

    #[test]
    fn what_no_password_gives_is_wrong() {
        let mut memory = Memory::new();
        for stored in ["$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", "$scrypt$ln=1,r=8,p=1$c29tZXNhbHQ$bm9ub25vbm9ubw"]
        {
            assert_eq!(verify("correct horse", stored, &mut memory).unwrap(), Verdict::Wrong, "{stored}");
        }
    }

    #[tokio::test]
    async fn nobody_has_a_password_not_even_the_stand_in() {
        let hasher = Hasher::new().unwrap();
        let guess = Secret::new("nobody has this password");
        assert_eq!(hasher.verify(&guess, None).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn two_hashes_run_at_once_and_a_full_line_is_told_to_come_again() {
        let hasher = Arc::new(Hasher::new().unwrap());
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for _ in 0..HASHES_AT_ONCE + WAITING_MAX {
            let (hasher, held) = (hasher.clone(), held.clone());
            tokio::spawn(async move { hasher.run(move |_| held.lock().unwrap().recv()).await });
        }
        while hasher.line.available_permits() > 0 {
            task::yield_now().await;
        }
        assert_eq!(hasher.slots.available_permits(), 0);
        assert!(matches!(hasher.run(|_| ()).await, Err(HashError::Busy)));
        drop(release);
    }

    #[test]
    fn a_password_is_long_enough_not_too_long_and_not_the_first_guess() {
        let check = |text: &str| check(&normal(text), "annabelle");
        assert_eq!(check("1234567"), Err(PasswordError::Length));
        assert_eq!(check(&"x".repeat(1_025)), Err(PasswordError::Length));
        assert_eq!(check("Password1"), Err(PasswordError::Common));
        assert_eq!(check("AnnaBelle"), Err(PasswordError::Common));
        assert_eq!(check("Greyhoun"), Err(PasswordError::Common), "number 3,000 of the list");
        assert_eq!((check(&"xy".repeat(32)), check(&"x".repeat(1_024))), (Ok(()), Ok(())));
    }
}
