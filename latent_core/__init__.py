"""The library of LatentReasoning: pure functions and small classes that know neither the workflow nor the tracker."""
