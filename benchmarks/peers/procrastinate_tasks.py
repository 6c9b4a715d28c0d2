from ends import PG, done
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=PG))


@app.task
async def noop(sent_at):
    done(sent_at)
    return 1
