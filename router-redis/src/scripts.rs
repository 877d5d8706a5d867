//! The scripts, called by their digest; a server that does not know one gets its text.
//!
//! A script that says something on a channel has `say.lua` before it, and calls
//! `say(channel, frame)`: what kind of pub/sub a channel goes by is decided there, for subscribers too
//! (`sharded.lua`). `Commands::say` publishes without a script, and by the same rule.

use std::sync::LazyLock;

use redis::Cmd;

/// A script and its digest.
pub(crate) struct Script(LazyLock<redis::Script>, &'static str);

/// A script's text: one file, or several one after the other.
macro_rules! scripts {
    ($($name:ident = $($file:literal)and+;)+) => {
        $(pub(crate) static $name: Script = Script(
            LazyLock::new(|| redis::Script::new($name.1)),
            concat!($(include_str!(concat!("scripts/", $file))),+),
        );)+
    };
}

scripts! {
    ACQUIRE = "acquire.lua";
    RENEW = "renew.lua";
    RELEASE = "release.lua";
    ENLIST = "enlist.lua";
    APPEND = "append.lua";
    TAKE = "take.lua";
    WRITE = "write.lua";
    SHARE = "share.lua";
    PUBLISH = "say.lua" and "publish.lua";
    SHARDED = "say.lua" and "sharded.lua";
    ROSTER_ENTER = "say.lua" and "presence/roster.lua" and "presence/enter.lua";
    ROSTER_LOSE = "say.lua" and "presence/roster.lua" and "presence/lose.lua";
    ROSTER_REMOVE = "say.lua" and "presence/roster.lua" and "presence/remove.lua";
    ROSTER_ADOPT = "say.lua" and "presence/roster.lua" and "presence/adopt.lua";
    ROSTER_PAGE = "say.lua" and "presence/roster.lua" and "presence/page.lua";
    ROSTER_COUNTS = "say.lua" and "presence/roster.lua" and "presence/counts.lua";
    ROSTER_HELD = "say.lua" and "presence/roster.lua" and "presence/held.lua";
    NOTE = "presence/note.lua";
    NOTED = "presence/noted.lua";
    FORGET = "presence/forget.lua";
    SEAL = "presence/seal.lua";
}

impl Script {
    /// The call by digest.
    pub(crate) fn by_digest(&self, keys: &[String], args: &[&[u8]]) -> Cmd {
        call("EVALSHA", self.0.get_hash(), keys, args)
    }

    /// The call that brings the text, after which the server knows it.
    pub(crate) fn by_text(&self, keys: &[String], args: &[&[u8]]) -> Cmd {
        call("EVAL", self.1, keys, args)
    }
}

fn call(how: &str, script: &str, keys: &[String], args: &[&[u8]]) -> Cmd {
    let data: usize = keys.iter().map(String::len).chain(args.iter().map(|arg| arg.len())).sum();
    let mut cmd = Cmd::with_capacity(3 + keys.len() + args.len(), 32 + script.len() + data);
    cmd.arg(how).arg(script).arg(keys.len());
    for key in keys {
        cmd.arg(key);
    }
    for arg in args {
        cmd.arg(*arg);
    }
    cmd
}
