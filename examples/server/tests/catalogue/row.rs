//! What a line of the catalogue is made of, and the macros that write it.

/// Is one row of the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// As in `W10.foreign`: the number of the attack, and which variant of it.
    pub(crate) id: &'static str,
    pub(crate) sent: &'static str,
    pub(crate) reply: &'static str,
    /// The file of the test, from the root of the repository.
    pub(crate) file: &'static str,
    pub(crate) test: &'static str,
}

/// Is a table of the page with its heading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) title: &'static str,
    /// What holds for all its rows unless they say otherwise.
    pub(crate) intro: &'static str,
    pub(crate) rows: &'static [&'static [Row]],
}

/// Makes a test and a row of each line: `"W1" name_of_the_test: "what is sent" => "the reply", what_does_it;`
///
/// What does it is an `async fn(&mut Case) -> String` or such a closure. The list begins with the name of its rows and
/// where its cases run: `shared`, one after the other on one server, or `alone`, each on a server of its own beside
/// the others, for cases that mostly wait.
macro_rules! cases {
    ($rows:ident, $place:ident; $($id:literal $test:ident: $sent:literal => $reply:literal, $attack:expr;)+) => {
        pub(crate) const $rows: &[$crate::row::Row] = &[$($crate::row::Row {
            id: $id,
            sent: $sent,
            reply: $reply,
            file: file!(),
            test: stringify!($test),
        }),+];

        $(#[test]
        fn $test() {
            $crate::lab::$place(stringify!($test), $reply, $attack);
        })+
    };
}

/// Makes a row of each line that a test elsewhere proves: `"A7" "what is sent" => "the reply", "file", "test";`
macro_rules! proven_in {
    ($rows:ident; $($id:literal $sent:literal => $reply:literal, $file:literal, $test:literal;)+) => {
        pub(crate) const $rows: &[$crate::row::Row] =
            &[$($crate::row::Row { id: $id, sent: $sent, reply: $reply, file: $file, test: $test }),+];
    };
}
