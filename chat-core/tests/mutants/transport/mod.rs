//! A transport without a socket passes the suite, and with a defect each it does not.

mod in_process;

use std::sync::Arc;

use chat_core::{
    Encoding, Engine,
    conformance::transport::{TransportUnderTest, Wire},
};

use self::in_process::{InProcess, Json};
use super::mutants;

chat_core::transport_conformance!(sound, || async { under_test(Defect::None) });

mutants! {
    transport, under_test;
    who_says_hello_is_welcomed: LosesAnswers,
    frames_arrive_whole_and_in_order: DropsAFrame | DoublesAFrame | SwapsFrames | CutsLongFrames,
    a_slow_reader_gets_everything_later: HidesThatThereIsRoom | DropsWhatDoesNotFit,
    signals_give_way_for_a_slow_reader: KeepsSignals,
    who_says_no_hello_is_closed_in_time: WaitsForHelloForEver,
    a_drain_closes_last_and_says_when_to_come_back: ClosesFirst | ForgetsWhenToComeBack | EndsWithoutAWord,
    a_cut_ends_the_session: KeepsWhoWasCut,
    wrong_bytes_are_answered_and_harm_nobody: SwallowsWrongBytes | EndsOnWrongBytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    LosesAnswers,
    DropsAFrame,
    DoublesAFrame,
    SwapsFrames,
    CutsLongFrames,
    HidesThatThereIsRoom,
    DropsWhatDoesNotFit,
    KeepsSignals,
    WaitsForHelloForEver,
    ClosesFirst,
    ForgetsWhenToComeBack,
    EndsWithoutAWord,
    KeepsWhoWasCut,
    SwallowsWrongBytes,
    EndsOnWrongBytes,
}

fn under_test(defect: Defect) -> TransportUnderTest {
    TransportUnderTest::new(move |engine: Engine| async move {
        let encoding: Arc<dyn Encoding> = Arc::new(Json);
        move |name: &str| {
            let wire: Box<dyn Wire> = Box::new(InProcess::connect(&engine, name, &encoding, defect));
            async move { wire }
        }
    })
}
