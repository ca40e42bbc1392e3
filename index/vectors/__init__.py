"""Vector indexes behind one small contract; `exact` is the oracle that the others are tested by."""
