import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import javax.security.auth.callback.Callback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerTokenCallback;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A client of a broker with the properties of a file. It prints one line for each line that it reads:
 *
 * topic NAME: makes a topic.
 * acl PRINCIPAL OPERATION PREFIX: lets the principal do it to topics whose names begin so.
 * list: the topics that it may see, with its own credentials.
 * write NAME: one record.
 * raw TOKEN: as list, with this token as it is: no client has looked at it before the broker does.
 *
 * An answer is "ok" and words, or "no" and the error's class and message.
 */
public class AskKafka {
  public static void main(String[] args) throws Exception {
    Properties properties = new Properties();
    try (FileInputStream file = new FileInputStream(args[0])) {
      properties.load(file);
    }
    properties.put("default.api.timeout.ms", "20000");
    properties.put("request.timeout.ms", "10000");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = in.readLine()) != null; ) {
      String answer;
      try {
        answer = "ok " + answer(properties, line.split(" "));
      } catch (Throwable error) {
        answer = "no " + rootOf(error);
      }
      System.out.println(answer.trim().replace('\n', ' '));
      System.out.flush();
    }
  }

  private static String answer(Properties properties, String[] words) throws Exception {
    switch (words[0]) {
      case "topic":
        try (Admin admin = Admin.create(properties)) {
          admin.createTopics(List.of(new NewTopic(words[1], 1, (short) 1))).all().get(20, TimeUnit.SECONDS);
          return "";
        }
      case "acl":
        try (Admin admin = Admin.create(properties)) {
          ResourcePattern topics = new ResourcePattern(ResourceType.TOPIC, words[3], PatternType.PREFIXED);
          AclOperation operation = AclOperation.fromString(words[2]);
          AccessControlEntry entry = new AccessControlEntry(words[1], "*", operation, AclPermissionType.ALLOW);
          admin.createAcls(List.of(new AclBinding(topics, entry))).all().get(20, TimeUnit.SECONDS);
          return "";
        }
      case "list":
        return list(properties);
      case "raw":
        Properties raw = new Properties();
        raw.putAll(properties);
        raw.put("sasl.login.callback.handler.class", Raw.class.getName());
        Raw.token = words[1];
        return list(raw);
      case "write":
        try (KafkaProducer<String, String> producer =
            new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
          producer.send(new ProducerRecord<>(words[1], "a record")).get(20, TimeUnit.SECONDS);
          return "";
        }
      default:
        throw new IllegalArgumentException(words[0]);
    }
  }

  private static String list(Properties properties) throws Exception {
    try (Admin admin = Admin.create(properties)) {
      Set<String> names = new TreeSet<>(admin.listTopics().names().get(20, TimeUnit.SECONDS));
      return String.join(" ", names);
    }
  }

  private static String rootOf(Throwable error) {
    List<String> told = new ArrayList<>();
    for (Throwable each = error; each != null; each = each.getCause()) {
      if (!(each instanceof ExecutionException)) {
        told.add(each.getClass().getSimpleName() + ": " + each.getMessage());
      }
    }
    return String.join(", by ", told);
  }

  /** Gives a token away whatever is in it. */
  public static class Raw implements AuthenticateCallbackHandler {
    static volatile String token;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {}

    @Override
    public void handle(Callback[] callbacks) {
      String value = token;
      for (Callback callback : callbacks) {
        if (callback instanceof OAuthBearerTokenCallback) {
          ((OAuthBearerTokenCallback) callback).token(new Held(value));
        }
      }
    }

    @Override
    public void close() {}
  }

  private record Held(String value) implements OAuthBearerToken {
    @Override
    public Set<String> scope() {
      return Set.of();
    }

    @Override
    public long lifetimeMs() {
      return System.currentTimeMillis() + 3_600_000;
    }

    @Override
    public String principalName() {
      return "held";
    }

    @Override
    public Long startTimeMs() {
      return null;
    }
  }
}
