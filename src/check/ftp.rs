//! The FTP check (RFC 959): greeting, log-in where given, `QUIT`.

use super::reply::Reply;
use super::talk::Talk;
use super::tls::Clients;
use super::{Outcome, Step, Target};
use crate::config::model::{Login, MailTls};

/// Asks once.
pub async fn probe(target: &Target, login: Option<&Login>) -> Outcome {
    ask(target, login).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, login: Option<&Login>) -> Step<Outcome> {
    let mut talk = Talk::open(target, &Clients::default(), &MailTls::Off).await?;
    let mut said = Reply::expect(&mut talk, &[220, 120]).await?;
    if said.code == Some(120) {
        // "Ready in nnn minutes": the greeting follows on the same connection.
        said = Reply::expect(&mut talk, &[220]).await?;
    }
    if let Some(login) = login {
        talk.conceal(&login.password);
        talk.say("USER", &format!("USER {}", login.user)).await?;
        said = Reply::expect(&mut talk, &[230, 331]).await?;
        if said.code == Some(331) {
            talk.say("PASS", &format!("PASS {}", login.password)).await?;
            said = Reply::expect(&mut talk, &[230, 202]).await?;
        }
    }
    talk.leave("QUIT").await;
    Ok(talk.fit(said.first()))
}
