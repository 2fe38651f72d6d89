"""Reading the lake in SQL: guard, plan, snapshot, object cache, workers, and the HTTP route."""
