// SPDX-License-Identifier: MIT
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import org.h2.mvstore.MVStore;

/** mongo-java-server on loopback, kept in a file. Arguments: PORT FILE. */
public final class MongoServer {
    private static final int COMMIT_DELAY_MS = 10; // a write is acknowledged before it is on disk

    private MongoServer() {
    }

    public static void main(String[] args) throws InterruptedException {
        MVStore store = MVStore.open(args[1]);
        store.setAutoCommitDelay(COMMIT_DELAY_MS);
        de.bwaldvogel.mongo.MongoServer server = new de.bwaldvogel.mongo.MongoServer(new H2Backend(store));
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
