from governance.verify import checked


def test_x(house, tiny):
    import time

    a = time.time()
    r = house.start(house.envelope(tiny, 30.0), tiny, 30.0)
    print(r, time.time() - a)
    print(r.summary())
    import subprocess

    print(
        subprocess.run(["find", str(house.workspace.runs)], capture_output=True, text=True).stdout
    )
    print((house.workspace.runs / "run-1" / "evaluation.json").read_text())
    print((house.workspace.runs / "run-1" / "receipts.jsonl").read_text())
    for e in house.workspace.ledger.entries():
        print(e)
    assert 0
