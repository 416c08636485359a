"""Runs Autobahn's cases against our WebSocket server, then against our client, and counts the verdicts.

    python autobahn.py ECHO

ECHO is the built example `echo`. Needs kosoku, which runs the cases of the Autobahn TestSuite on today's Python.
`scripts/test` calls this. The status is 0 if every case has one of the verdicts that are allowed below.
"""

import asyncio
import collections
import os
import sys

from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver

# Compression, the cases 12 and 13, is never negotiated.
COMPRESSION = ("12.", "13.")
FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
CASES = 517
MODE_SECONDS_MAX = 240


async def try_server(echo):
    """Drives our server."""
    server = await asyncio.create_subprocess_exec(
        echo, "server", "127.0.0.1:0", stdout=asyncio.subprocess.PIPE
    )
    try:
        listening = await server.stdout.readline()
        address = listening.decode().split()[-1]
        return await results(run_fuzzingclient(f"ws://{address}/", concurrency=4))
    finally:
        server.kill()
        await server.wait()


async def try_client(echo):
    """Lets our client drive the suite's server."""
    async with run_fuzzingserver(port=0) as suite:
        address = f"{suite.address}:{suite.port}"
        client = await asyncio.create_subprocess_exec(echo, "client", address, str(CASES))
        try:
            return await results(suite.get_result())
        finally:
            if client.returncode is None:
                client.kill()
            await client.wait()


async def results(run):
    """Waits for the verdicts; it is for us to judge them."""
    try:
        return await asyncio.wait_for(run, MODE_SECONDS_MAX)
    except FailureError as failure:
        return failure.results


def verdicts(case):
    return {case.behavior.value, case.behavior_close.value}


def is_unimplemented(case):
    return case.case_id.startswith(COMPRESSION) and verdicts(case) <= FINE | {"UNIMPLEMENTED"}


def judge(mode, cases):
    """Prints the counts. Returns whether all is as it should be."""
    counts = collections.Counter(case.behavior.value for case in cases)
    print(f"{mode}:", ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    fine = [case for case in cases if verdicts(case) <= FINE]
    wrong = [case for case in cases if case not in fine and not is_unimplemented(case)]
    for case in wrong:
        print(f"test {mode} {case.case_id} ... FAILED: {case.result} {case.result_close}")
    complete = len(cases) == CASES
    if not complete:
        print(f"error: {len(cases)} cases were run instead of {CASES}")
    left = len(cases) - len(fine) - len(wrong)
    word = "ok" if complete and not wrong else "FAILED"
    print(f"test result: {word}. {len(fine)} passed; {len(wrong)} failed; {left} ignored (no compression)")
    return word == "ok"


async def main(echo):
    return [judge("server", await try_server(echo)), judge("client", await try_client(echo))]


if __name__ == "__main__":
    passed = all(asyncio.run(main(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0 if passed else 1)  # all is said: the interpreter was seen to abort in its own clearing up
